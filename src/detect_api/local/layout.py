"""What lies where in ``DATA_DIR``, who may use it at a time, and the secrets kept in it."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import string
import tempfile
from dataclasses import dataclass
from pathlib import Path

from detect_api.core.errors import DetectApiError

MIB = 1024 * 1024
LEAST_FREE_BYTES = 500 * MIB


class StackError(DetectApiError):
    """The embedded stack cannot start, or a part of it could not do what was asked."""

    code = "stack_error"


class AlreadyRunning(StackError):
    """Another supervisor works on the same data directory."""

    code = "already_running"


@dataclass(frozen=True)
class Layout:
    """The paths under one data directory."""

    root: Path

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def credentials(self) -> Path:
        return self.root / "credentials.json"

    @property
    def ports(self) -> Path:
        return self.root / "ports.json"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def temporary(self) -> Path:
        return self.root / "tmp"

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def s3(self) -> Path:
        return self.root / "s3"

    def prepare(self) -> None:
        """Create what is missing, readable by this user alone.

        Raises ``StackError`` when the directory cannot be used: not writable, or nearly full.
        """
        try:
            for path in (self.root, self.logs):
                path.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            raise StackError(
                f"The data directory {self.root} cannot be used ({error.strerror or error}): "
                "make it writable or name another one with --data-dir or DATA_DIR."
            ) from None
        free = shutil.disk_usage(self.root).free
        if free < LEAST_FREE_BYTES:
            raise StackError(
                f"The disk that holds {self.root} is nearly full ({free // MIB} MB free, "
                f"{LEAST_FREE_BYTES // MIB} MB needed): make room or name another directory "
                "with --data-dir or DATA_DIR."
            )


def empty(directory: Path) -> None:
    """Make sure that the directory exists, is private and has nothing in it."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)


class DirectoryLock:
    """An exclusive claim on a data directory; the kernel drops it with the process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock, or raise ``AlreadyRunning`` naming the process that holds it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise AlreadyRunning(
                f"detect-api already runs on {self._path.parent} (process {holder(self._path)}): "
                "stop that one first or name another directory with --data-dir or DATA_DIR."
            ) from None
        except OSError as error:
            os.close(descriptor)
            raise StackError(
                f"{self._path.parent} cannot be locked ({error.strerror or error}): use a "
                "directory on a local disk."
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    @property
    def held(self) -> bool:
        return self._descriptor is not None

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def holder(lock: Path) -> str | None:
    """The pid of the process that holds the lock, as it wrote it; None if nobody does."""
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
    finally:
        os.close(descriptor)
    return None


@dataclass(frozen=True)
class Credentials:
    """The secrets of one embedded stack; made once, kept in a file that only its user may read."""

    stack_id: str
    postgres_password: str
    s3_access_key: str
    s3_secret_key: str
    jwt_keys: tuple[str, str, str, str]

    @classmethod
    def generate(cls) -> Credentials:
        letters = string.ascii_uppercase + string.digits
        jwt = [secrets.token_hex(32) for _ in range(4)]
        return cls(
            stack_id=secrets.token_hex(8),
            postgres_password=secrets.token_hex(24),
            s3_access_key="".join(secrets.choice(letters) for _ in range(20)),
            s3_secret_key=secrets.token_hex(20),
            jwt_keys=(jwt[0], jwt[1], jwt[2], jwt[3]),
        )

    @classmethod
    def load_or_create(cls, path: Path) -> Credentials:
        """The credentials in the file; new ones, written there durably, if there is no file."""
        try:
            stored = json.loads(path.read_text())
            keys = stored.pop("jwt_keys")
            return cls(**stored, jwt_keys=(keys[0], keys[1], keys[2], keys[3]))
        except FileNotFoundError:
            pass
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            raise StackError(
                f"{path} is damaged: move it away, new secrets are made at the next start."
            ) from None
        made = cls.generate()
        write_private(path, json.dumps(made.__dict__, indent=1))
        return made


def write_private(path: Path, text: str) -> None:
    """Replace the file at once and durably, readable by its owner alone."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(path)
