"""Running the decoding child: it gets bytes and a time limit, and nothing else of this machine.

The child is a separate program with an empty environment. It asks for the video's bytes over a
socket, so that it never knows where they come from, and leaves pictures in memory that both
sides see. Whatever becomes of it, this side stays sound: what it says is checked, its silence is
limited, and it is gone when the Sandbox is closed.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import detect_api
from detect_api.core.errors import VideoError
from detect_api.storage.reader import ByteSource
from detect_api.vision.channel import (
    LENGTH,
    LONGEST_READ,
    READ,
    Gone,
    pack,
    receive,
    receive_message,
)  # fmt: skip
from detect_api.vision.readahead import ReadAhead

CHILD = "detect_api.vision.child"

_TICK_SECONDS = 0.25
_STARTING_SECONDS = 30.0
_ENDING_SECONDS = 10.0
_DYING_SECONDS = 2.0
_STDERR_KEPT = 2000

log = logging.getLogger(__name__)


class Sandbox:
    """One child process with one job. A context manager; ``close`` kills what still runs.

    ``memory`` holds ``memory_bytes`` of pictures, if any were asked for.
    """

    def __init__(
        self,
        source: ByteSource,
        job: dict[str, Any],
        *,
        memory_bytes: int = 0,
        stall_seconds: float,
        child: str = CHILD,
    ) -> None:
        self._stall_seconds = stall_seconds
        self._child = child
        self._process: subprocess.Popen[bytes] | None = None
        self._failure: BaseException | None = None
        self._heard = time.monotonic()
        self._fetching = False
        self._hung = False
        self._closed = False
        self._started = threading.Event()
        self._control, theirs = socket.socketpair()
        self._data, their_data = socket.socketpair()
        self._control.settimeout(stall_seconds)
        self._stderr, their_stderr = os.pipe()
        # A child that talks too much loses its words instead of filling anything up.
        os.set_blocking(self._stderr, False)
        os.set_blocking(their_stderr, False)
        memory_fd = -1
        self.memory: mmap.mmap | None = None
        if memory_bytes:
            memory_fd = _shared_memory(memory_bytes)
            self.memory = mmap.mmap(memory_fd, memory_bytes)
        self._reads = ReadAhead(source)
        # PR_SET_PDEATHSIG is about the thread that started the child, so that thread must live
        # as long as the child does; it serves the child's reads meanwhile.
        self._host = threading.Thread(
            target=self._run,
            args=(theirs, their_data, their_stderr, memory_fd),
            name="decoding-child",
            daemon=True,
        )
        self._host.start()
        self._started.wait(_STARTING_SECONDS)
        try:
            self._raise_failure()
            self._control.sendall(pack(job))
            self._control.settimeout(_TICK_SECONDS)
        except ConnectionError:
            pass  # the child is gone already: ``messages`` will say why
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def messages(self) -> Generator[dict[str, Any]]:
        """What the child says until it is done.

        Raises VideoError when it gives up, crashes, hangs or says nonsense, and what the source
        raised when a read failed.
        """
        while True:
            self._heard = time.monotonic()
            try:
                message = receive_message(self._control, self._watch)
            except Gone:
                raise self._why_it_ended() from None
            except (ValueError, RecursionError):
                raise VideoError("the decoder answered nonsense", code="decoder_crashed") from None
            if "error" in message:
                self._raise_failure()
                raise VideoError(str(message.get("detail", ""))[:500], code=str(message["error"]))
            if "done" in message:
                self._raise_failure()
                yield message
                return
            if "alive" not in message:
                yield message

    def free_slot(self) -> None:
        """Tells the child that the oldest picture in ``memory`` is no longer needed."""
        # If it is gone or stuck, the next message, which will not come, says which.
        with contextlib.suppress(ConnectionError, TimeoutError):
            self._control.sendall(b"\1")

    def close(self) -> None:
        """Ends the child and frees everything. Safe to call again."""
        if self._closed:
            return
        self._closed = True
        self._kill()
        self._control.close()
        self._data.shutdown(socket.SHUT_RDWR)
        if self._process is not None:
            self._process.wait(_ENDING_SECONDS)
        # A read that storage has not answered yet ends by storage's own time limit.
        self._host.join(0 if self._fetching else _ENDING_SECONDS)
        self._reads.close()
        os.close(self._stderr)
        self._data.close()
        self.memory = None

    # -- the child's host: a thread ---------------------------------------------------------

    def _run(
        self, control: socket.socket, data: socket.socket, stderr: int, memory_fd: int
    ) -> None:
        descriptors = [control.fileno(), data.fileno(), stderr]
        arguments = [str(control.fileno()), str(data.fileno()), str(memory_fd)]
        if memory_fd >= 0:
            descriptors.append(memory_fd)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", self._child, *arguments],
                env=_environment(), cwd="/", pass_fds=descriptors, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr,
            )  # fmt: skip
        except BaseException as error:
            self._failure = error
        finally:
            control.close()
            data.close()
            os.close(stderr)
            if memory_fd >= 0:
                os.close(memory_fd)
            self._started.set()
        if self._process is not None:
            self._serve()
            self._process.wait()

    def _serve(self) -> None:
        """Answers reads until the child closes its socket or one cannot be answered."""
        while True:
            try:
                offset, length, apart = READ.unpack(receive(self._data, READ.size))
                self._heard = time.monotonic()
                data = self._fetch(offset, min(length, LONGEST_READ), apart=bool(apart))
                self._data.sendall(LENGTH.pack(len(data)) + data)
                self._heard = time.monotonic()
            except (Gone, OSError) as error:
                if self._failure is None and self._fetching:
                    self._failure = error
                break
            except Exception as error:
                self._failure = error
                break
        self._fetching = False
        if self._failure is None and self._process is not None:
            # It is ending by itself: let it say with which status.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_DYING_SECONDS)
        self._kill()

    def _fetch(self, offset: int, length: int, *, apart: bool) -> bytes:
        self._fetching = True
        data = (self._reads.read_apart if apart else self._reads.read)(offset, length)
        self._fetching = False
        return data

    # -- watching ---------------------------------------------------------------------------

    def _watch(self) -> None:
        silent = time.monotonic() - self._heard
        if silent > self._stall_seconds and not self._fetching:
            self._hung = True
            self._kill()

    def _kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _why_it_ended(self) -> Exception:
        assert self._process is not None
        status = self._process.wait(_ENDING_SECONDS)
        if isinstance(self._failure, Exception):
            return self._failure
        if self._hung:
            return VideoError(
                f"the decoder did nothing for {self._stall_seconds:g} s and was stopped",
                code="decoder_hung",
            )
        if status == -signal.SIGXCPU:
            return VideoError(
                "the decoder took more computing time than is allowed", code="decoder_hung"
            )
        log.warning("decoding child ended with status %d: %s", status, self._last_words())
        return VideoError("the decoder crashed on this video", code="decoder_crashed")

    def _last_words(self) -> str:
        try:
            said = os.read(self._stderr, 65536)
        except BlockingIOError:
            return ""
        return said[-_STDERR_KEPT:].decode(errors="replace")


def _environment() -> dict[str, str]:
    """What the child needs to find its modules, and no more: no secrets, no proxies."""
    own = str(Path(detect_api.__file__).parent.parent)
    elsewhere = [
        path for path in sys.path
        if path and not path.startswith((sys.prefix, sys.base_prefix)) and path != own
    ]  # fmt: skip
    return {
        "PYTHONPATH": os.pathsep.join([own, *elsewhere]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LC_ALL": "C.UTF-8",
    }


def _shared_memory(size: int) -> int:
    """A descriptor of ``size`` bytes of memory that has no name."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("frames", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor
