"""Opening hostile bytes as a video and walking its packets."""

from __future__ import annotations

import contextlib
import errno
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import av
import av.error
import av.stream

from detect_api.core.errors import VideoError
from detect_api.vision.child.bitstream import Inspector
from detect_api.vision.child.remote import RemoteFile
from detect_api.vision.child.structure import Frame as FileFrame
from detect_api.vision.child.structure import why_not_a_video

CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,mpegts,mpeg"
"""FFmpeg's names of the demuxers that may run; none of them opens another file."""

_IMAGES = {
    b"\xff\xd8\xff": "jpeg_pipe",
    b"\x89PNG\r\n\x1a\n": "png_pipe",
    b"RIFF": "webp_pipe",
    b"BM": "bmp_pipe",
}
_NAMED_IN_FIRST_PACKET = frozenset({"h264", "mpeg4"})
_READ_AT_ONCE = 256 * 1024
_BYTE_SEEK = frozenset({"mpegts", "mpeg", "flv"})
_SEARCHED_PACKETS = 1500
_EARLIER_SECONDS = (0, 3, 20)
_ERRORS_IN_A_ROW = 32


@dataclass(frozen=True, slots=True)
class Mark:
    """What a packet leaves on the picture that comes out of it.

    ``ordinal`` counts the stream's packets in file order. ``shown`` is how many pictures the
    packet puts on the screen.
    """

    ordinal: int
    pts: int | None
    shown: int


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet of the video stream; ``av`` is PyAV's."""

    mark: Mark
    av: Any

    def anchor(self) -> dict[str, Any]:
        """What it takes to recognise this packet after a seek (JSON values)."""
        packet = self.av
        return {
            "ordinal": self.mark.ordinal, "pts": packet.pts, "dts": packet.dts,
            "pos": packet.pos, "size": packet.size,
        }  # fmt: skip


class Video:
    """The video stream of an opened container.

    ``container``, ``stream`` and ``codec`` are PyAV's; ``form`` is FFmpeg's name of the
    container, ``label`` the usual one. Raises VideoError when there is no stream that can be
    decoded within ``max_pixels``.
    """

    def __init__(self, file: RemoteFile, *, max_pixels: int, threads: int, images: bool) -> None:
        self.file = file
        self.damaged_packets = 0
        self.undecodable_packets = 0
        self._refused = _RefusedSize()
        logger = logging.getLogger("libav")
        logger.handlers, logger.propagate = [self._refused], False
        self._max_pixels, self._threads, self._images = max_pixels, threads, images
        self._open()

    def _open(self) -> None:
        form = self._image_format() if self._images else None
        options = {
            "format_whitelist": form or CONTAINERS,
            "protocol_whitelist": "none",
            "max_pixels": str(self._max_pixels),
            "threads": "1",
        }
        self.file.seek(0)
        try:
            self.container: Any = av.open(
                self.file, format=form, options=options, buffer_size=_READ_AT_ONCE,
                metadata_errors="replace",
            )  # fmt: skip
        except MemoryError:
            raise
        except (av.error.FFmpegError, ValueError) as error:
            listed = getattr(error, "errno", None) != errno.EINVAL
            raise why_not_a_video(self.file, listed=listed, images=self._images) from None
        self._check_refused_size()
        self.form = form or self.container.format.name.split(",")[0]
        self.label = self._label()
        self.structure = FileFrame(self.file, self.form)
        self.stream = self._choose()
        self.codec = self.stream.codec_context
        self.check_size(self.codec.width, self.codec.height)
        self.codec.thread_count = self._threads
        self.codec.thread_type = "FRAME"
        self.codec.copy_opaque = True
        self.codec.options = {"max_pixels": str(self._max_pixels)}
        for other in self.container.streams:
            if other.index != self.stream.index:
                other.discard = av.stream.Discard.all
        self.codec_name = self.codec.codec.canonical_name
        self.time_base = self.stream.time_base
        self._restart_inspection()

    def _label(self) -> str:
        """The container's usual name."""
        if self.form != "mov":
            return self.form.removesuffix("_pipe")
        brand = self.container.metadata.get("major_brand", "qt")
        return "mov" if brand.startswith("qt") else "mp4"

    def _image_format(self) -> str:
        head = self.file.read_at(0, 16)
        for magic, form in _IMAGES.items():
            if head.startswith(magic) and (form != "webp_pipe" or head[8:12] == b"WEBP"):
                return form
        raise VideoError("the file is not a JPEG, PNG, WebP or BMP picture", code="not_a_video")

    def seconds(self, pts: int) -> float:
        """The time in seconds, as PyAV's ``frame.time`` computes it."""
        return float(pts) * int(self.time_base.numerator) / int(self.time_base.denominator)

    def _choose(self) -> Any:
        """The first real video stream, by preference a decodable one marked as default."""
        covers = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
        real = [s for s in self.container.streams.video if not s.disposition & covers]
        if not real:
            raise VideoError("there is no video stream in the file", code="no_video_stream")
        known = [s for s in real if s.codec_context is not None]
        if not known:
            raise VideoError(
                "the video is coded in a way that cannot be decoded here", code="unsupported_codec"
            )
        default = [s for s in known if s.disposition & av.stream.Disposition.default]
        return (default or known)[0]

    def check_size(self, width: int, height: int) -> None:
        """Raises VideoError when a picture of this size is over the limit."""
        if width * height > self._max_pixels:
            raise VideoError(
                f"the video is {width} x {height} pixels, more than the "
                f"{self._max_pixels} pixels that are allowed",
                code="too_many_pixels",
            )

    def _restart_inspection(self) -> None:
        self.inspector = Inspector(self.codec_name, self.codec.extradata)

    def clean(self, packet: Packet) -> bool:
        """Whether decoding can start at this packet."""
        return packet.av.is_keyframe and self.inspector.clean(self._head(packet.av))

    def _head(self, packet: Any) -> bytes:
        return bytes(memoryview(packet)[: self.inspector.prefix])

    def packets(self, first: int = 0) -> Iterator[Packet]:
        """The stream's packets from where the container stands; ordinals count from ``first``.

        Damage in the container is stepped over as long as anything follows it.
        """
        ordinal, in_a_row = first, 0
        while True:
            try:
                for packet in self.container.demux(self.stream):
                    if packet.size == 0:
                        continue
                    in_a_row = 0
                    self.damaged_packets += packet.is_corrupt
                    yield self._marked(packet, ordinal)
                    ordinal += 1
            except MemoryError:
                raise
            except av.error.FFmpegError:
                in_a_row += 1
                self.damaged_packets += 1
                if in_a_row > _ERRORS_IN_A_ROW:
                    return
            else:
                return

    def _marked(self, packet: Any, ordinal: int) -> Packet:
        shown = 0
        if not packet.is_discard:
            shown = self.inspector.shown(self._head(packet), packet.size)
        mark = Mark(ordinal, packet.pts, shown)
        # PyAV keeps the mark by its address until the packet and its picture are gone: it must
        # be an object of its own and must not hold the packet.
        packet.opaque = mark
        return Packet(mark, packet)

    def reopen(self) -> None:
        """Starts again at the beginning, with nothing kept of what was read."""
        self.container.close()
        self.damaged_packets = self.undecodable_packets = 0
        self._open()

    def from_anchor(self, anchor: dict[str, Any] | None) -> Iterator[Packet]:
        """The packets from the one that ``anchor`` describes, from the beginning for None.

        Containers seek more or less exactly, so what comes after a seek is compared with what is
        looked for; if it is not there, the seek is tried from further and further back.
        """
        if anchor is None:
            yield from self.packets()
            return
        self._prime()
        for earlier in _EARLIER_SECONDS:
            if self._seek(anchor, earlier):
                packets = self._after(anchor, self.packets(), _SEARCHED_PACKETS)
                if packets is not None:
                    yield from packets
                    return
        self.reopen()
        self._prime()
        packets = self._after(anchor, self.packets(), None)
        if packets is None:
            raise VideoError(
                "a part of the video that was there before cannot be found again",
                code="corrupt_video",
            )
        yield from packets

    def _prime(self) -> None:
        """Shows the decoder the first packet, where encoders leave their name.

        FFmpeg's decoders work around the errors of certain encoders, so a decoder that never saw
        the beginning may give other pictures, or take apart packed ones wrongly.
        """
        if self.codec_name in _NAMED_IN_FIRST_PACKET:
            with contextlib.suppress(av.error.FFmpegError):
                for packet in self.packets():
                    self.decode(packet)
                    break
            self.codec.flush_buffers()

    def _seek(self, anchor: dict[str, Any], earlier: int) -> bool:
        stamp = anchor["dts"] if anchor["dts"] is not None else anchor["pts"]
        try:
            if self.form in _BYTE_SEEK and not earlier and anchor["pos"] is not None:
                self.container.seek(anchor["pos"], unsupported_byte_offset=True)
            else:
                self.container.seek(stamp - int(earlier / self.time_base), stream=self.stream)
        except (av.error.FFmpegError, TypeError):
            return False
        return True

    def _after(
        self, anchor: dict[str, Any], packets: Iterator[Packet], limit: int | None
    ) -> Iterator[Packet] | None:
        """The packets from the anchor's on, renumbered; None if it is not among the next."""
        for count, packet in enumerate(packets):
            if packet.av.size == anchor["size"] and _same(packet, anchor):
                return self._renumbered(packet, anchor["ordinal"])
            if limit is not None and count >= limit:
                break
        return None

    def _renumbered(self, first: Packet, ordinal: int) -> Iterator[Packet]:
        self._restart_inspection()
        yield self._marked(first.av, ordinal)
        # A second walk of the demuxer goes on where the first one, which is dropped, stood.
        yield from self.packets(ordinal + 1)

    def decode(self, packet: Packet | None) -> list[Any]:
        """The pictures that come out when ``packet`` goes in (None: the last ones).

        Each one's ``opaque`` is the Mark of the packet that it came in. Raises FFmpegError where
        nothing can be decoded, VideoError when the picture has become too large.
        """
        try:
            frames = self.codec.decode(packet.av if packet else None)
        finally:
            # A decoder that refuses a new size may go on with the old one and show rubbish.
            self._check_refused_size()
        for frame in frames:
            self.check_size(frame.width, frame.height)
        return frames  # type: ignore[no-any-return]

    def pictures(self, packets: Iterator[Packet]) -> Iterator[Any]:
        """All pictures of ``packets`` in the order in which they are shown.

        What cannot be decoded is left out and counted in ``undecodable_packets``.
        """
        for packet in chain(packets, (None,)):
            try:
                yield from self.decode(packet)
            except MemoryError:
                raise
            except av.error.FFmpegError:
                self.undecodable_packets += 1

    def _check_refused_size(self) -> None:
        """Tells a picture that FFmpeg refused for its size from one that is damaged."""
        if self._refused.seen:
            raise VideoError(
                f"the video has pictures of more than the {self._max_pixels} pixels that are "
                "allowed",
                code="too_many_pixels",
            ) from None


class _RefusedSize(logging.Handler):
    """Notes FFmpeg's message about a picture that is over ``max_pixels``; drops all others."""

    seen = False

    def emit(self, record: logging.LogRecord) -> None:
        self.seen |= record.getMessage().startswith("Picture size")


def _same(packet: Packet, anchor: dict[str, Any]) -> bool:
    """Whether this is the packet looked for: its place in the file or, failing that, its time."""
    pos = packet.av.pos
    if pos is not None and anchor["pos"] is not None and pos >= 0:
        return bool(pos == anchor["pos"] and packet.av.pts == anchor["pts"])
    return bool(packet.av.pts == anchor["pts"])
