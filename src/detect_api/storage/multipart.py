"""The port to what only S3 can do: an object that clients upload in parts, without passing here.

``s3_multipart.py`` stands behind it. Where storage is a directory there is nothing behind it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from detect_api.core.config import MIB

Checksum = Literal["CRC32C", "SHA256"]
"""The algorithm that guards each part, by S3's name for it."""

MAX_PARTS = 10_000
LEAST_PART = 8 * MIB
"""S3 takes parts from 5 MiB on; smaller ones than this cost more requests than they save."""

THRESHOLD = 100 * MIB
"""From this size on a file is better sent in parts."""

_FEW_PARTS = 2_000
_COMMON_PART = 32 * MIB


class UploadGone(Exception):
    """The store does not know the upload (any more): completed, aborted or never begun."""


class PartsRefused(Exception):
    """The store did not put these parts together: one is not there, or is not the one named."""


@dataclass(frozen=True, slots=True)
class PartPlan:
    """How a file is cut into parts: all are ``part_size`` bytes, only the last may be shorter."""

    file_size: int
    part_size: int

    @classmethod
    def of(cls, file_size: int) -> PartPlan:
        """A plan with at most 10,000 parts of at least 8 MiB.

        A broken line costs one part, so parts stay small; they grow from 16 GB on, to spare
        requests, up to 32 MiB, and further only where 10,000 parts would not do.
        """
        wished = min(_COMMON_PART, -(-file_size // _FEW_PARTS))
        needed = -(-file_size // MAX_PARTS)
        size = max(LEAST_PART, wished, needed)
        return cls(file_size, -(-size // MIB) * MIB)

    @property
    def count(self) -> int:
        """How many parts there are; they are numbered from 1."""
        return -(-self.file_size // self.part_size)

    def size_of(self, number: int) -> int:
        """Bytes of one part."""
        return min(self.part_size, self.file_size - (number - 1) * self.part_size)


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part as the store holds it. ``checksum`` is None where the store does not tell it."""

    number: int
    etag: str
    size: int
    last_modified: datetime
    checksum: str | None = None


@dataclass(frozen=True, slots=True)
class SignedPart:
    """Where and with which headers a client PUTs exactly ``size`` bytes."""

    number: int
    url: str
    headers: dict[str, str]
    size: int


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """An unfinished upload as the store lists it."""

    key: str
    upload_id: str
    initiated: datetime


class MultipartStore(Protocol):
    """Objects that are uploaded in parts by somebody else.

    Every method may raise StorageError, as those of ObjectStore, and be called from any thread.
    Unfinished uploads are dropped with ``ObjectStore.abort``.
    """

    def create(
        self, key: str, content_type: str, metadata: dict[str, str], checksum: Checksum | None
    ) -> str:
        """Begins an upload and returns its id. ASCII metadata only."""

    def parts(self, key: str, upload_id: str) -> list[StoredPart]:
        """All parts that the store holds, in the order of their numbers.

        A part that was sent twice may stand there twice. Raises UploadGone.
        """

    def complete(
        self, key: str, upload_id: str, parts: Sequence[StoredPart], checksum: Checksum | None
    ) -> None:
        """Makes the object out of these parts. Raises UploadGone and PartsRefused."""

    def open_uploads(self, prefix: str) -> Iterator[OpenUpload]:
        """All unfinished uploads under a prefix."""
