"""One child process: started in a session of its own, stopped with all it started."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from detect_api.local import launch
from detect_api.local.logs import ChildLog

MARK = "DETECT_API_STACK"
LEFTOVER_SECONDS = 5.0
QUICK_SECONDS = 2.0


@dataclass(frozen=True)
class Program:
    """What to run, and how it wants to be stopped. Secrets belong in ``environment``: ``argv`` is
    shown by ``ps``."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    user: str | None = None
    directory: Path | None = None
    descriptors: tuple[int, ...] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    fast_signal: signal.Signals = signal.SIGKILL
    stop_seconds: float = 10.0


def launcher(program: Program) -> list[str]:
    """The command line that becomes the program in the right user, directory and session."""
    options = {
        "parent": os.getpid(),
        "orphaned": int(program.stop_signal),
        "directory": str(program.directory) if program.directory else None,
        "user": program.user,
    }
    return [sys.executable, "-I", "-S", launch.__file__, json.dumps(options), *program.argv]


class Child:
    """A running program. Start it from a thread that lives as long as it should: on Linux the
    kernel stops the child when the thread that started it ends."""

    def __init__(self, program: Program, log: ChildLog) -> None:
        self._program = program
        self.started = time.monotonic()
        self._process = subprocess.Popen(
            launcher(program),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(program.environment),
            start_new_session=True,
            pass_fds=program.descriptors,
        )
        assert self._process.stdout is not None
        self._pump = log.pump(self._process.stdout)
        self._session_ended = False

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_status(self) -> int | None:
        """None while it runs, else its status; the rest of its session is gone by then, too."""
        status = self._process.poll()
        if status is not None:
            self._kill_session()
        return status

    def ask_to_stop(self, *, fast: bool = False) -> None:
        """Send the signal that means an orderly (or a quick) end; returns at once."""
        wanted = self._program.fast_signal if fast else self._program.stop_signal
        if self._process.poll() is None:
            self._process.send_signal(wanted)

    def stop(self, hurry: threading.Event, *, fast: bool = False) -> None:
        """Ask it to stop and await its end."""
        self.ask_to_stop(fast=fast)
        self.await_end(hurry, fast=fast)

    def await_end(self, hurry: threading.Event, *, fast: bool = False) -> None:
        """Wait until it ended after ``ask_to_stop``: orderly within ``stop_seconds``, quickly once
        ``hurry`` is set, then by force."""
        deadline = time.monotonic() + (QUICK_SECONDS if fast else self._program.stop_seconds)
        while self._process.poll() is None and time.monotonic() < deadline:
            if hurry.is_set() and not fast:
                fast = True
                self.ask_to_stop(fast=True)
                deadline = min(deadline, time.monotonic() + QUICK_SECONDS)
            time.sleep(0.02)
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(timeout=10)
        self._kill_session()
        self._pump.join(timeout=1)

    def _kill_session(self) -> None:
        """Whatever the child started and left behind (a decoder, say) goes with it."""
        if self._session_ended:
            return  # by now the number may be somebody else's
        self._session_ended = True
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


def base_environment() -> dict[str, str]:
    """What a child that is not Python needs of our environment."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C",
        "HOME": os.environ.get("HOME", "/"),
    }


def stop_leftovers(stack_id: str) -> int:
    """End the processes of a stack whose supervisor was killed; how many there were.

    They are known by the mark in their environment, which no reuse of a pid can forge. (One that
    changed its user cannot be read by everybody: PostgreSQL has its own pid file.)
    """
    found = [process for process in psutil.process_iter() if _mark_of(process) == stack_id]
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(found, timeout=LEFTOVER_SECONDS)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=LEFTOVER_SECONDS)
    return len(found)


def _mark_of(process: psutil.Process) -> str | None:
    if process.pid == os.getpid():
        return None
    try:
        mark: str | None = process.environ().get(MARK)
    except (psutil.Error, OSError):
        return None
    return mark
