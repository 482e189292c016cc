"""What is remembered of an upload, so that another process can go on with it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import TracebackType

from detect_api.client.errors import ClientError
from detect_api.client.flow import Json
from detect_api.client.source import VideoFile

VERSION = 1
KEPT_SECONDS = 30 * 86400.0
"""A server has long forgotten what was not touched for so long."""

LARGEST = 64 * 1024


def state_folder() -> Path:
    """This user's folder for unfinished uploads."""
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        given = os.environ.get("XDG_STATE_HOME", "")
        base = Path(given) if given.startswith("/") else Path.home() / ".local" / "state"
    return base / "detect-api" / "uploads"


@dataclass(frozen=True)
class Remembered:
    """An upload that was begun.

    ``key`` is made before the server is asked: an Idempotency-Key, or the id of the job. Without
    ``upload_id`` it is not known whether the server ever answered.
    """

    kind: str
    size: int
    mtime_ns: int
    wishes: Json
    key: str
    upload_id: str | None = None
    version: int = field(default=VERSION)

    def fits(self, kind: str, file: VideoFile, wishes: Json) -> bool:
        """Whether it is an upload in this way, of this very file, with these wishes."""
        return (self.kind, self.size, self.mtime_ns, self.wishes) == (
            kind, file.size, file.mtime_ns, wishes,
        )  # fmt: skip


class Memory:
    """The state file of one video on its way to one server; locked while in a ``with`` block.

    It is a file of this user's alone, written whole or not at all. One that cannot be understood
    counts as none. The kernel drops the lock with the process.
    """

    def __init__(self, folder: Path, server: str, file: VideoFile) -> None:
        name = hashlib.sha256(f"{server}\n{file.path}".encode(errors="surrogateescape")).hexdigest()
        self._folder = folder
        self._path = folder / f"{name[:32]}.json"
        self._lock_path = folder / f"{name[:32]}.lock"
        self._video = file.path
        self._descriptor: int | None = None

    def __enter__(self) -> Memory:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._sweep()
            while self._descriptor is None:
                self._descriptor = self._try_lock()
        except OSError as error:
            raise self._unusable(error) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._descriptor is not None:
            # Removed while still held: who waits for it then finds that its file is gone.
            self._lock_path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None

    def read(self) -> Remembered | None:
        """What is remembered; None if nothing is, or nothing that can be understood."""
        try:
            with self._path.open("rb") as file:
                values = json.loads(file.read(LARGEST))
            found = Remembered(**{item.name: values[item.name] for item in fields(Remembered)})
        except (OSError, ValueError, TypeError, KeyError):
            return None
        texts = (found.kind, found.key, found.upload_id or "")
        understood = found.version == VERSION and all(isinstance(text, str) for text in texts)
        return found if understood and found.key else None

    def write(self, what: Remembered) -> None:
        """Remembers this in place of what was. Raises ClientError if that cannot be written."""
        try:
            self._write(what)
        except OSError as error:
            raise self._unusable(error) from None

    def _write(self, what: Remembered) -> None:
        descriptor, name = tempfile.mkstemp(dir=self._folder, prefix="new-", suffix=".json")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({**asdict(what), "video": str(self._video)}, file)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def forget(self) -> None:
        """The upload is done, or not worth going on with."""
        self._path.unlink(missing_ok=True)

    def _unusable(self, error: OSError) -> ClientError:
        return ClientError(
            f"The folder for unfinished uploads, {self._folder}, cannot be used "
            f"({error.strerror or error}): make it writable and see that its disk is not full.",
            code="state",
        )

    def _try_lock(self) -> int | None:
        """The locked descriptor; None when the file was removed meanwhile and is to be made anew.

        Raises ClientError when another process has it.
        """
        descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise ClientError(
                f"Another process is uploading {self._video} to this server: wait for it, or "
                "stop it first.",
                code="upload_in_progress",
            ) from None
        except OSError:
            os.close(descriptor)
            raise
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), self._lock_path.stat()):
                os.utime(descriptor)  # so that nobody sweeps it away as forgotten
                return descriptor
        os.close(descriptor)
        return None

    def _sweep(self) -> None:
        """Removes what was left long ago."""
        oldest = time.time() - KEPT_SECONDS
        for path in (*self._folder.glob("*.json"), *self._folder.glob("*.lock")):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < oldest:
                    path.unlink()
