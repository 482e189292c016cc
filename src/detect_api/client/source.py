"""The file that is uploaded: what it is, and its bytes in slices."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import google_crc32c

from detect_api.client.errors import ClientError
from detect_api.core.ids import VIDEO_TYPES, extension_of

PIECE = 256 * 1024
"""So many bytes of a file are in memory at a time, for each slice that is being sent."""

Checksum = Literal["CRC32C", "SHA256"]


@dataclass(frozen=True)
class VideoFile:
    """A file as it was when its upload began."""

    path: Path
    size: int
    mtime_ns: int

    @classmethod
    def at(cls, path: Path) -> VideoFile:
        """The file there. Raises ClientError if it cannot be read."""
        try:
            with path.open("rb") as file:
                found = os.fstat(file.fileno())
        except OSError as error:
            raise _unreadable(path, error) from None
        return cls(path.absolute(), found.st_size, found.st_mtime_ns)

    @property
    def name(self) -> str:
        """Its name without the folder; bytes that are no text are replaced."""
        return os.fsencode(self.path.name).decode(errors="replace")

    @property
    def content_type(self) -> str:
        """Its media type by its name."""
        return VIDEO_TYPES.get(extension_of(self.path.name), "application/octet-stream")

    def slice(self, offset: int, size: int) -> Slice:
        """These bytes of it."""
        return Slice(self, offset, size)

    def whole(self) -> Slice:
        """All of its bytes."""
        return Slice(self, 0, self.size)

    def check(self) -> None:
        """Raises ClientError if the file is not the one any more whose upload began."""
        if VideoFile.at(self.path) != self:
            raise _changed(self.path)


@dataclass(frozen=True)
class Slice:
    """A run of bytes of a file. Reading it raises ClientError when the file has changed."""

    file: VideoFile
    offset: int
    size: int

    def pieces(self) -> Iterator[bytes]:
        """The bytes, from a file opened for this reading alone."""
        left = self.size
        try:
            # Unbuffered: each piece is read into its own bytes, and no further.
            with self.file.path.open("rb", buffering=0) as file:
                found = os.fstat(file.fileno())
                if (found.st_size, found.st_mtime_ns) != (self.file.size, self.file.mtime_ns):
                    raise _changed(self.file.path)
                file.seek(self.offset)
                while left:
                    piece = file.read(min(PIECE, left))
                    if not piece:
                        raise _changed(self.file.path)
                    left -= len(piece)
                    yield piece
        except OSError as error:
            raise _unreadable(self.file.path, error) from None

    def checksum(self, kind: Checksum) -> str:
        """Base64 as S3 takes it: of the CRC32C, big-endian, or of the SHA-256."""
        if kind == "SHA256":
            digest = hashlib.sha256()
            for piece in self.pieces():
                digest.update(piece)
            return base64.b64encode(digest.digest()).decode()
        crc = 0
        for piece in self.pieces():
            crc = google_crc32c.extend(crc, piece)
        return base64.b64encode(crc.to_bytes(4, "big")).decode()


def _changed(path: Path) -> ClientError:
    return ClientError(
        f"{path} was changed while it was being uploaded: upload it again when it is finished.",
        code="file_changed",
    )


def _unreadable(path: Path, error: OSError) -> ClientError:
    return ClientError(f"{error.strerror or error}: {path}", code="file")
