"""What one compressed packet says about itself: does it show a picture, can decoding start here.

A container's keyframe flag is not enough to cut a video. With intra refresh it marks places
where a decoder *begins* to recover, and alt-ref frames of VP8 are packets that show nothing.
So the first bytes of the packet are read as the codec's own syntax says: ITU-T H.264 7.3 and
D.2.8, ITU-T H.265 7.4.2.2, RFC 6386 9.1, VP9 bitstream specification 6.2 and annex B, AV1
bitstream specification 5.3 and 5.9, ISO/IEC 14496-2 6.2.5, ITU-T H.262 6.2.
"""

from __future__ import annotations

from collections.abc import Iterator

PREFIX = 64 * 1024
"""So many first bytes of a packet hold every header that is looked at."""

INTRA_ONLY = frozenset(
    [
        "mjpeg",
        "mjpegb",
        "prores",
        "dnxhd",
        "dvvideo",
        "rawvideo",
        "v210",
        "png",
        "huffyuv",
        "ffvhuff",
        "utvideo",
        "jpeg2000",
    ]
)
"""Codecs of which every packet is one whole picture."""

TRUSTED = frozenset(
    ["flv1", "h263", "msmpeg4v1", "msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2", "vp6", "vp6f", "ffv1"]
)
"""Codecs without reordering in which a keyframe forgets all that came before it."""

_H264_IDR, _H264_SEI, _H264_RECOVERY_POINT = 5, 6, 6
_H264_SLICES = (1, 2, 5)
_H264_NO_PICTURE = (6, 7, 8, 9, 10, 11, 12, 13, 15)
_HEVC_RASL, _HEVC_BLA, _HEVC_IRAP, _HEVC_END = (8, 9), (16, 17, 18), range(16, 22), (36, 37)
_HEVC_IDR, _HEVC_NO_PICTURE = (19, 20), range(32, 41)
_AV1_FRAME_HEADERS = (3, 6)
_MPEG4_SMALLEST_CODED = 12


class Inspector:
    """Looks at the packets of one stream, in decoding order.

    ``known`` says whether the codec is one whose packets can be judged; for others ``shown``
    and ``clean`` must not be relied on. H.264 and HEVC arrive as Annex B or with length
    prefixes, which ``extradata`` tells.
    """

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        self.codec = codec
        extra = extradata or b""
        self._length_size = 0
        if codec == "h264" and len(extra) > 6 and extra[0] == 1:
            self._length_size = (extra[4] & 3) + 1
        elif codec == "hevc" and len(extra) > 22 and extra[:3] not in (b"\0\0\0", b"\0\0\1"):
            self._length_size = (extra[21] & 3) + 1
        self.all_shown = False
        """Set where the payload is not read and every packet is known to show one picture."""
        self._restarted = True
        self._rasl_lost = True
        self.prefix = None if codec == "vp9" else PREFIX  # VP9's index lies at the packet's end
        self.known = codec in INTRA_ONLY or codec in TRUSTED or codec in _CLEAN

    def shown(self, data: bytes, size: int) -> int:
        """How many pictures this packet shows. ``data``: its first ``prefix`` bytes.

        A packet that makes no sense counts as one picture, so that damage does not change the
        numbers of the frames after it.
        """
        judge = None if self.all_shown else _SHOWN.get(self.codec)
        return 1 if judge is None else judge(self, data, size)

    def clean(self, data: bytes) -> bool:
        """Whether the pictures from this packet on decode without anything before it.

        Pictures that follow it in the stream but are shown before it are excepted.
        ``data``: the first PREFIX bytes of a packet that the container calls a keyframe.
        """
        if self.codec in INTRA_ONLY or self.codec in TRUSTED:
            return True
        judge = _CLEAN.get(self.codec)
        return judge is not None and judge(self, data)

    def _nals(self, data: bytes) -> Iterator[bytes]:
        """The NAL units in ``data``; the last one may be cut off."""
        if self._length_size:
            at = 0
            while at + self._length_size < len(data):
                size = int.from_bytes(data[at : at + self._length_size], "big")
                at += self._length_size
                if size:
                    yield data[at : at + size]
                at += size
            return
        start = data.find(b"\0\0\1")
        while start >= 0:
            start += 3
            end = data.find(b"\0\0\1", start)
            nal = data[start : end if end >= 0 else len(data)]
            if nal:
                yield nal
            start = end

    def _h264_shown(self, data: bytes, _: int) -> int:
        kinds = [nal[0] & 31 for nal in self._nals(data)]
        return int(not kinds or not all(kind in _H264_NO_PICTURE for kind in kinds))

    def _h264_clean(self, data: bytes) -> bool:
        recovers_at_once = False
        for nal in self._nals(data):
            kind = nal[0] & 31
            if kind == _H264_IDR:
                return True
            if kind == _H264_SEI:
                recovers_at_once |= _recovery_frames(nal) == 0
            elif kind in _H264_SLICES:
                bits = Bits(_unescaped(nal[1:17]))
                bits.golomb()
                return recovers_at_once and bits.golomb() in (2, 7)
        return False

    def _hevc_shown(self, data: bytes, _: int) -> int:
        sense = False
        for nal in self._nals(data):
            kind = nal[0] >> 1 & 63
            if kind in _HEVC_IRAP:
                # Leading pictures that refer to what lies before this point are never output
                # when decoding starts or starts anew here (H.265 8.1.3).
                self._rasl_lost = self._restarted or kind in _HEVC_BLA or kind in _HEVC_IDR
                self._restarted = False
            elif kind in _HEVC_END:
                self._restarted = True
            if kind < 32:
                return int(not (kind in _HEVC_RASL and self._rasl_lost))
            sense = kind in _HEVC_NO_PICTURE
            if not sense:
                break
        return int(not sense)

    def _hevc_clean(self, data: bytes) -> bool:
        for nal in self._nals(data):
            kind = nal[0] >> 1 & 63
            if kind < 32:
                return kind in _HEVC_IRAP
        return False


class Bits:
    """Reads bits, most significant first; zeros after the end."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def read(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            return 0
        return self._value >> self._left & ((1 << count) - 1)

    def golomb(self) -> int:
        """One unsigned Exp-Golomb number (H.264 9.1)."""
        zeros = 0
        while self._left > 0 and not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)


def _unescaped(payload: bytes) -> bytes:
    return payload.replace(b"\0\0\3", b"\0\0")


def _recovery_frames(nal: bytes) -> int | None:
    """recovery_frame_cnt of the recovery point message in this SEI unit, None without one."""
    data = _unescaped(nal[1:])
    at = 0
    while at + 2 < len(data):
        values = []
        for _ in range(2):
            value = 0
            while at < len(data) and data[at] == 255:
                value += 255
                at += 1
            value += data[at] if at < len(data) else 0
            at += 1
            values.append(value)
        kind, size = values
        if kind == _H264_RECOVERY_POINT:
            return Bits(data[at : at + 8]).golomb()
        at += size
    return None


def _vp8_shown(_: Inspector, data: bytes, __: int) -> int:
    return data[0] >> 4 & 1


def _vp9_shown(_: Inspector, data: bytes, size: int) -> int:
    return sum(show for _, show in _vp9_frames(data, size)) if data[0] >> 6 == 2 else 1


def _mpeg4_shown(_: Inspector, data: bytes, size: int) -> int:
    # A packet this small may be a "not coded" picture, which shows nothing; 2 makes the caller
    # count by decoding.
    return max(1, data.count(b"\0\0\1\xb6")) if size > _MPEG4_SMALLEST_CODED else 2


def _vp8_clean(_: Inspector, data: bytes) -> bool:
    return bool(data) and not data[0] & 1


def _vp9_frames(data: bytes, size: int) -> list[tuple[bool, int]]:
    """(is a keyframe, is shown) of each frame in the packet, which may be a superframe."""
    starts = [0]
    if data and size == len(data) and data[-1] & 0xE0 == 0xC0:
        count, width = (data[-1] & 7) + 1, (data[-1] >> 3 & 3) + 1
        index = data[-(2 + count * width) :]
        if index[0] == data[-1]:
            at = 0
            for frame in range(count - 1):
                at += int.from_bytes(index[1 + frame * width : 1 + (frame + 1) * width], "little")
                starts.append(at)
    frames = []
    for start in starts:
        bits = Bits(data[start : start + 4])
        bits.read(2)
        profile = bits.read(1) | bits.read(1) << 1
        if profile == 3:
            bits.read(1)
        if bits.read(1):
            frames.append((False, 1))
        else:
            frames.append((not bits.read(1), bits.read(1)))
    return frames


def _vp9_clean(_: Inspector, data: bytes) -> bool:
    return bool(data) and _vp9_frames(data, len(data))[0][0]


def _av1_frames(data: bytes) -> list[tuple[bool, int]]:
    """(is a keyframe shown at once, is shown) of each frame header in the temporal unit."""
    frames = []
    at = 0
    while at < len(data):
        header = data[at]
        at += 2 if header & 4 else 1
        size, shift = 0, 0
        if header & 2:
            while at < len(data):
                size |= (data[at] & 127) << shift
                shift += 7
                at += 1
                if not data[at - 1] & 128:
                    break
        else:
            size = len(data) - at
        if header >> 3 & 15 in _AV1_FRAME_HEADERS and at < len(data):
            bits = Bits(data[at : at + 1])
            existing, kind, show = bits.read(1), bits.read(2), bits.read(1)
            frames.append((not existing and not kind and bool(show), existing | show))
        at += size
    return frames


def _av1_clean(_: Inspector, data: bytes) -> bool:
    frames = _av1_frames(data)
    return bool(frames) and frames[0][0]


def _mpeg4_clean(_: Inspector, data: bytes) -> bool:
    at = data.find(b"\0\0\1\xb6")
    return 0 <= at < len(data) - 4 and data[at + 4] >> 6 == 0


def _mpeg2_clean(_: Inspector, data: bytes) -> bool:
    at = data.find(b"\0\0\1\0")
    sequence = data.find(b"\0\0\1\xb3")
    return 0 <= sequence < at < len(data) - 5 and data[at + 5] >> 3 & 7 == 1


_SHOWN = {
    "h264": Inspector._h264_shown,
    "hevc": Inspector._hevc_shown,
    "vp8": _vp8_shown,
    "vp9": _vp9_shown,
    "mpeg4": _mpeg4_shown,
}
_CLEAN = {
    "h264": Inspector._h264_clean,
    "hevc": Inspector._hevc_clean,
    "vp8": _vp8_clean,
    "vp9": _vp9_clean,
    "av1": _av1_clean,
    "mpeg4": _mpeg4_clean,
    "mpeg1video": _mpeg2_clean,
    "mpeg2video": _mpeg2_clean,
}
