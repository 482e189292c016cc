"""Object storage in a local directory, for the mode without any S3."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from io import BytesIO, FileIO
from pathlib import Path
from typing import Any, BinaryIO

from detect_api.core.config import MIB
from detect_api.core.errors import ObjectChanged, ObjectMissing, StorageError
from detect_api.storage.base import ObjectInfo

_PIECE = MIB


class DirectoryStore:
    """An ObjectStore under ``root``.

    An object is a file under ``objects/`` with a small JSON file under ``about/`` beside it.
    Both are written to ``parts/`` first and moved into place, so that half an object is never
    seen and a full disk loses nothing that was there.
    """

    part_size = 8 * MIB

    def __init__(self, root: Path) -> None:
        self._objects = root / "objects"
        self._about = root / "about"
        self._parts = root / "parts"
        for folder in (self._objects, self._about, self._parts):
            folder.mkdir(parents=True, exist_ok=True)

    def head(self, key: str) -> ObjectInfo:
        path = self._path(key)
        try:
            stat = path.stat()
        except FileNotFoundError:
            raise ObjectMissing(f"There is no object '{key}' in storage.") from None
        about = self._read_about(key)
        return ObjectInfo(
            key=key,
            size=stat.st_size,
            content_type=about.get("content_type", "application/octet-stream"),
            etag=f"{stat.st_mtime_ns:x}-{stat.st_size:x}-{stat.st_ino:x}",
            last_modified=datetime.fromtimestamp(stat.st_mtime, UTC),
            metadata=about.get("metadata", {}),
        )

    def read_range(self, key: str, start: int, length: int, etag: str | None = None) -> bytes:
        if etag is not None and self.head(key).etag != etag:
            raise ObjectChanged(f"The object '{key}' was overwritten while in use.")
        try:
            with self._path(key).open("rb") as file, _disk_errors():
                return os.pread(file.fileno(), max(0, length), start)
        except FileNotFoundError:
            raise ObjectMissing(f"There is no object '{key}' in storage.") from None

    def put(self, key: str, body: bytes, content_type: str) -> None:
        self.put_file(key, BytesIO(body), len(body), content_type)

    def put_file(self, key: str, body: BinaryIO, size: int, content_type: str) -> None:
        upload = self.begin(key, content_type, {})
        try:
            upload.add_part(body, size)
            upload.complete()
        finally:
            upload.abort()

    def begin(self, key: str, content_type: str, metadata: dict[str, str]) -> DirectoryUpload:
        about: dict[str, object] = {"content_type": content_type, "metadata": metadata}
        upload_id = uuid.uuid4().hex
        with _disk_errors():
            self.part_path(upload_id).touch()
        return DirectoryUpload(self, key, about, upload_id)

    def resume(
        self,
        key: str,
        content_type: str,
        metadata: dict[str, str],
        upload_id: str,
        *,
        parts: Sequence[str],
        size: int,
    ) -> DirectoryUpload:
        del parts
        about: dict[str, object] = {"content_type": content_type, "metadata": metadata}
        return DirectoryUpload(self, key, about, uuid.UUID(upload_id).hex, size)

    def abort(self, key: str, upload_id: str) -> None:
        del key
        try:
            name = uuid.UUID(upload_id).hex
        except ValueError:
            return  # it was begun in S3, before that was switched off
        part = self.part_path(name)
        for path in (part, part.with_suffix(".json")):
            path.unlink(missing_ok=True)

    def unfinished(self, before: datetime) -> list[str]:
        """The ids of uploads to which nothing was written since then."""
        found = set()
        for path in self._parts.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < before.timestamp():
                    found.add(path.stem)
        return sorted(found)

    def delete(self, key: str) -> bool:
        path = self._path(key)
        with _disk_errors():
            try:
                path.unlink()
            except FileNotFoundError:
                return False
            self._about_path(key).unlink(missing_ok=True)
        return True

    def delete_prefix(self, prefix: str) -> int:
        folder = self._path(prefix.rstrip("/"))
        with _disk_errors():
            count = sum(1 for path in folder.rglob("*") if path.is_file())
            for tree in (folder, self._about / folder.relative_to(self._objects)):
                if tree.exists():
                    shutil.rmtree(tree)
        return count

    def keys(self, prefix: str) -> Iterator[str]:
        """The keys of all objects under a prefix that ends in ``/``."""
        folder = self._path(prefix.rstrip("/"))
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                yield path.relative_to(self._objects.resolve()).as_posix()

    def check(self) -> None:
        if not os.access(self._objects, os.W_OK):
            raise StorageError(f"The folder {self._objects} is not writable.")

    def publish(self, key: str, part: Path, about: dict[str, object]) -> ObjectInfo:
        """Moves a finished part into its place."""
        with _disk_errors():
            target, about_target = self._path(key), self._about_path(key)
            for folder in (target.parent, about_target.parent):
                folder.mkdir(parents=True, exist_ok=True)
            about_part = part.with_suffix(".json")
            about_part.write_text(json.dumps(about))
            about_part.replace(about_target)
            part.replace(target)
            descriptor = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        return self.head(key)

    def part_path(self, upload_id: str) -> Path:
        """Where the bytes of an unfinished upload lie."""
        return self._parts / upload_id

    def _path(self, key: str) -> Path:
        path = (self._objects / key).resolve()
        if not path.is_relative_to(self._objects.resolve()) or "\0" in key:
            raise ObjectMissing(f"There is no object '{key}' in storage.")
        return path

    def _about_path(self, key: str) -> Path:
        path = self._about / self._path(key).relative_to(self._objects.resolve())
        return path.with_name(path.name + ".json")

    def _read_about(self, key: str) -> dict[str, Any]:
        try:
            about: dict[str, Any] = json.loads(self._about_path(key).read_text())
        except FileNotFoundError:
            return {}
        return about


class DirectoryUpload:
    """A file that grows part by part beside the objects.

    It is opened for each part, by its name: a process that was frozen and wakes up after the
    upload was completed elsewhere finds no file to write to.
    """

    def __init__(
        self,
        store: DirectoryStore,
        key: str,
        about: dict[str, object],
        upload_id: str,
        size: int = 0,
    ) -> None:
        self.id = upload_id
        self._store = store
        self._key = key
        self._about = about
        self._size = size

    def add_part(self, body: BinaryIO, size: int) -> str:
        with _disk_errors(), self._open() as file:
            file.seek(self._size)
            for piece in _pieces(body, size):
                view = memoryview(piece)
                while view:
                    view = view[file.write(view) or 0 :]
            # Whoever resumes the upload relies on the part, also after a loss of power.
            os.fsync(file.fileno())
        self._size += size
        return ""

    def complete(self) -> ObjectInfo:
        with _disk_errors(), self._open() as file:
            # A part that was written and did not count may lie behind the last one.
            file.truncate(self._size)
            os.fsync(file.fileno())
        return self._store.publish(self._key, self._store.part_path(self.id), self._about)

    def abort(self) -> None:
        self._store.abort(self._key, self.id)

    def _open(self) -> FileIO:
        try:
            return FileIO(self._store.part_path(self.id), "r+b")
        except FileNotFoundError:
            raise ObjectMissing(f"There is no upload of '{self._key}' in storage.") from None


def _pieces(body: BinaryIO, size: int) -> Iterator[bytes]:
    body.seek(0)
    left = size
    while left:
        piece = body.read(min(_PIECE, left))
        if not piece:
            raise StorageError("A part of the upload ended early.")
        yield piece
        left -= len(piece)


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageError(
            f"The disk under DATA_DIR cannot be used ({error.strerror or type(error).__name__})."
        ) from error
