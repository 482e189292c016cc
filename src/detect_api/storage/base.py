"""The port to object storage: what the service asks of it, and nothing more.

Two stores stand behind it: ``s3.py`` and, where there is no S3, ``directory.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO, Protocol


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What storage knows of an object. ``etag`` changes whenever the bytes do."""

    key: str
    size: int
    content_type: str
    etag: str
    last_modified: datetime
    metadata: dict[str, str] = field(default_factory=dict)


class PartialUpload(Protocol):
    """An object that is being written in parts and is not there until it is completed."""

    @property
    def id(self) -> str:
        """Names the upload for ``resume`` and ``abort``; "" if there is nothing to abort."""

    def add_part(self, body: BinaryIO, size: int) -> str:
        """Appends ``size`` bytes, read from the start of ``body``. Parts come in order.

        Returns what names the part for ``ObjectStore.resume``.
        """

    def complete(self) -> ObjectInfo:
        """Makes the object appear, whole, under its key."""

    def abort(self) -> None:
        """Forgets all parts. Nothing is left; calling it again is harmless."""


class ObjectStore(Protocol):
    """A flat store of objects by key.

    Every method may raise StorageError when storage cannot be reached or refuses, after a
    bounded number of tries within a bounded time. All methods may be called from any thread.
    """

    @property
    def part_size(self) -> int:
        """Bytes per part of a PartialUpload; only the last may be shorter."""

    def head(self, key: str) -> ObjectInfo:
        """What is known of the object. Raises ObjectMissing if there is none."""

    def read_range(self, key: str, start: int, length: int, etag: str | None = None) -> bytes:
        """The bytes from ``start``, at most ``length``; fewer only at the end of the object.

        Raises ObjectMissing, and ObjectChanged if ``etag`` is given and no longer true.
        """

    def put(self, key: str, body: bytes, content_type: str) -> None:
        """Writes a small object in one piece, over any that is there."""

    def begin(self, key: str, content_type: str, metadata: dict[str, str]) -> PartialUpload:
        """Starts an object of unknown size. ASCII metadata only."""

    def put_file(self, key: str, body: BinaryIO, size: int, content_type: str) -> None:
        """Writes ``size`` bytes, read from the start of ``body``, as an object in one piece."""

    def resume(
        self,
        key: str,
        content_type: str,
        metadata: dict[str, str],
        upload_id: str,
        *,
        parts: Sequence[str],
        size: int,
    ) -> PartialUpload:
        """Goes on with an upload that another process began, after its first ``parts``.

        These hold ``size`` bytes. A part that was sent after them is replaced by the next one.
        Talks to nobody: that the upload is gone shows when a part is added or it is completed,
        which then raise ObjectMissing.
        """

    def abort(self, key: str, upload_id: str) -> None:
        """Forgets the parts of an upload whose process died. Unknown ids are no error."""

    def delete(self, key: str) -> bool:
        """Removes an object; False if it was not there."""

    def delete_prefix(self, prefix: str) -> int:
        """Removes all objects under ``prefix`` (which ends in ``/``); returns how many."""

    def check(self) -> None:
        """Returns if storage answers and the bucket is there; raises StorageError otherwise."""
