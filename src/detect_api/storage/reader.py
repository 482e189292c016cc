"""Reading an object by byte ranges, as a decoder wants it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from detect_api.core.errors import StorageError
from detect_api.storage.base import ObjectStore


class ByteSource(Protocol):
    """Bytes of a known length that can be read anywhere. Thread-safe."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes from ``offset``, at most ``length``; fewer only at the end.

        Raises StorageError when they cannot be had, ObjectMissing or ObjectChanged when the
        object is gone or was overwritten.
        """

    def close(self) -> None:
        """Releases what the source holds; reading afterwards is an error."""


class FileSource:
    """A local file as a ByteSource."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self._size = os.fstat(self._file.fileno()).st_size

    @property
    def size(self) -> int:
        return self._size

    def read_at(self, offset: int, length: int) -> bytes:
        return os.pread(self._file.fileno(), length, offset)

    def close(self) -> None:
        self._file.close()


class ObjectSource:
    """An object in storage as a ByteSource, held to the version that ``etag`` names.

    ``bytes_read`` tells how much of it was asked for so far; about, where threads share it.
    """

    def __init__(self, store: ObjectStore, key: str, size: int, etag: str | None) -> None:
        self._store = store
        self._key = key
        self._size = size
        self._etag = etag
        self.bytes_read = 0

    @property
    def size(self) -> int:
        return self._size

    def read_at(self, offset: int, length: int) -> bytes:
        length = min(length, self._size - offset)
        if length <= 0:
            return b""
        data = self._store.read_range(self._key, offset, length, self._etag)
        if len(data) != length:
            # A decoder would take it for the end of the video, and the rest for read.
            raise StorageError(
                f"Storage answered with {len(data)} of {length} bytes of '{self._key}'."
            )
        self.bytes_read += len(data)
        return data

    def close(self) -> None:
        """Holds nothing."""
