"""What a container's own frame says: is the file whole, and if it is no video, what is it.

Only the outermost lengths are looked at: ISO/IEC 14496-12 4.2 (boxes), RFC 8794 and RFC 9559
(Matroska), the RIFF chunk, the FLV tag and the 188 bytes of an MPEG transport packet.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Protocol

from detect_api.core.errors import VideoError

_PICTURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*")
_PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"[playlist]", b"<?xml", b"<MPD", b"<smil", b"<ASX")
_MKV_SEGMENT = b"\x18\x53\x80\x67"
_TS_PACKETS = (188, 192, 204)
_FLV_METADATA = 1024
_FLV_FILE_SIZE = b"\x00\x08filesize\x00"
"""A name of its metadata (Adobe's Video File Format 10.1, E.5), then the mark of a double."""

_BOXES_BEFORE_INDEX = 10_000


class Bytes(Protocol):
    """Bytes of a known length, read anywhere."""

    size: int

    def read_at(self, offset: int, length: int) -> bytes: ...


class Frame:
    """Walks along the outermost parts of a file as its packets are read, to see where it ends.

    ``passed(pos)`` may be called for every packet and costs nothing unless a part ends there, so
    that the few bytes looked at are those that were fetched anyway. ``truncated`` is final.
    """

    def __init__(self, file: Bytes, container: str) -> None:
        self._file = file
        self._container = container
        self._step: Callable[[int], int] | None = {
            "mov": self._box, "avi": self._chunk, "matroska": self._element,
        }.get(container)  # fmt: skip
        self._next = 0
        self.first_box: dict[bytes, int] = {}

    def passed(self, pos: int) -> None:
        """Packets have been read as far as ``pos``."""
        while self._step is not None and self._next <= pos and self._next < self._file.size:
            self._next = self._step(self._next)

    @property
    def truncated(self) -> bool:
        """Whether parts that the file says it has lie behind its end."""
        size = self._file.size
        if self._step is not None:
            self.passed(size - 1)
            return self._next > size
        if self._container == "flv":
            return self._flv_truncated()
        if self._container == "mpegts":
            head = self._file.read_at(0, 1024)
            for packet in _TS_PACKETS:
                offset = 4 if packet == 192 else 0
                if all(head[at : at + 1] == b"G" for at in (offset, offset + packet)):
                    return size % packet != 0
        return False

    def _box(self, at: int) -> int:
        """The end of the MP4 box at ``at``; past the file's end if that is all that is known."""
        head = self._file.read_at(at, 16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big") if len(head) == 16 else 1 << 62
        elif length == 0:
            length = self._file.size - at
        self.first_box.setdefault(head[4:8], at)
        return at + max(8, length) if len(head) >= 8 else self._file.size + 1

    def _chunk(self, at: int) -> int:
        head = self._file.read_at(at, 8)
        if head[:4] != b"RIFF":  # something was appended to the AVI file: not ours to judge
            return self._file.size
        length = int.from_bytes(head[4:8], "little")
        return at + 8 + length + length % 2

    def _element(self, at: int) -> int:
        head = self._file.read_at(at, 16)
        id_length = _vint_length(head[:1])
        size_length = _vint_length(head[id_length : id_length + 1])
        if not id_length or not size_length or len(head) < id_length + size_length:
            return self._file.size
        raw = int.from_bytes(head[id_length : id_length + size_length], "big")
        length = raw & ((1 << 7 * size_length) - 1)
        if length == (1 << 7 * size_length) - 1:  # written live, its length never filled in
            return self._file.size
        end = at + id_length + size_length + length
        return end if head[:4] == _MKV_SEGMENT or end < self._file.size else self._file.size

    def _flv_truncated(self) -> bool:
        size = self._file.size
        tail = self._file.read_at(max(0, size - 4), 4)
        length = int.from_bytes(tail, "big")
        if length == 0 or length + 4 > size:
            return True
        tag = self._file.read_at(size - 4 - length, 4)
        if tag[:1] not in (b"\x08", b"\x09", b"\x12") or (
            int.from_bytes(tag[1:4], "big") + 11 != length
        ):
            return True
        # Cut off just behind a tag it looks whole, but its first tag may say how long it was.
        _, found, number = self._file.read_at(0, _FLV_METADATA).partition(_FLV_FILE_SIZE)
        return bool(found) and len(number) >= 8 and struct.unpack(">d", number[:8])[0] > size


def _vint_length(first: bytes) -> int:
    """How many bytes an EBML number takes that starts with ``first``; 0 if it is none."""
    return 9 - first[0].bit_length() if first and first[0] else 0


def why_not_a_video(file: Bytes, *, listed: bool, images: bool) -> VideoError:
    """The error for a file that could not be opened.

    ``listed`` says that the format was recognised and is one that is read here.
    """
    head = file.read_at(0, 512)
    if images:
        return VideoError("the picture is damaged and cannot be read", code="corrupt_video")
    if head.lstrip().startswith(_PLAYLISTS):
        return VideoError(
            "the file is a list that names other files, not a video", code="not_a_video"
        )
    if head.startswith(_PICTURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return VideoError("the file is a picture, not a video", code="not_a_video")
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"):
        return _why_not_mp4(file)
    if not listed:
        return VideoError(
            "the file is not a video of a supported format", code="unsupported_container"
        )
    if head.startswith((b"\x1aE\xdf\xa3", b"FLV", b"RIFF")):
        return VideoError("the file is damaged and cannot be opened", code="corrupt_video")
    return VideoError("the file is not a video", code="not_a_video")


def _why_not_mp4(file: Bytes) -> VideoError:
    frame = Frame(file, "mov")
    for _ in range(_BOXES_BEFORE_INDEX):
        before = frame._next
        frame.passed(before)
        if frame._next == before:
            break
    cut = frame._next > file.size
    if b"moov" not in frame.first_box:
        return VideoError(
            "the file is cut off before its index (moov), so nothing in it can be read"
            if cut
            else "the file has no index (moov), so nothing in it can be read",
            code="corrupt_video",
        )
    if cut:
        return VideoError(
            "the file is cut off inside its index (moov), so nothing in it can be read",
            code="corrupt_video",
        )
    return VideoError("the file is damaged and cannot be opened", code="corrupt_video")
