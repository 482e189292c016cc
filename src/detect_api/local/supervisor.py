"""Keeps the parts of a stack running: in order, with back-off, until told to stop."""

from __future__ import annotations

import random
import re
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from detect_api.local.full_disk import FullDisk
from detect_api.local.layout import StackError
from detect_api.local.logs import ChildLog, Report
from detect_api.local.processes import Child, Program

FIRST_ATTEMPTS = 3  # before a part that never came up fails the start
FIRST_DELAY = 0.2
LONGEST_DELAY = 5.0
GIVE_UP_AFTER = 10  # failures in a row; from then on tried twice a minute
SLOW_DELAY = 30.0
STEADY_SECONDS = 20.0  # having run so long, earlier failures are forgotten


class Part(Protocol):
    """One process of the stack: what it needs, how it starts and when it can be used."""

    @property
    def name(self) -> str:
        """Its short name, also the name of its log file."""

    @property
    def label(self) -> str:
        """What a person calls it."""

    @property
    def needs(self) -> frozenset[str]:
        """Names of the parts that must be usable before it starts, also again after a crash."""

    @property
    def one_shot(self) -> bool:
        """Whether it is done when it exits with status 0, and not meant to stay."""

    @property
    def ready_seconds(self) -> float:
        """How long it may take to become usable before it is started afresh."""

    @property
    def alarm(self) -> re.Pattern[str]:
        """Which lines of its log a person should see."""

    @property
    def full_disk(self) -> FullDisk | None:
        """Tells when it has not got over a full disk by itself, if it is one that may not."""

    def program(self) -> Program:
        """What to run; called before each start, and prepares what the start needs.

        Raises ``StackError`` or ``OSError`` if that cannot be done."""

    def is_ready(self) -> bool:
        """Whether others can use it now; answers within some seconds."""


class State(Enum):
    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"


@dataclass
class _Watched:
    part: Part
    log: ChildLog
    state: State = State.WAITING
    child: Child | None = None
    failures: int = 0
    restarts: int = 0
    retry_at: float = 0.0
    started: float = 0.0
    was_up: bool = False
    restart_asked: bool = False

    @property
    def usable(self) -> bool:
        return self.state in (State.RUNNING, State.DONE)


class Supervisor:
    """Runs the parts from one thread of its own; that thread is the parent of every child.

    ``report`` gets one calm sentence for each thing that a person should know.
    """

    def __init__(self, parts: Sequence[Part], log_folder: Path, report: Report) -> None:
        self._report = report
        self._watched = {
            part.name: _Watched(
                part,
                ChildLog(
                    part.name,
                    log_folder / f"{part.name}.log",
                    part.alarm,
                    report,
                    part.full_disk.heed if part.full_disk else None,
                ),
            )
            for part in parts
        }
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._changed = threading.Condition()
        self._wake = threading.Event()
        self._stopping = False
        self._ended = False
        self._hurry = threading.Event()
        self.failure: StackError | None = None
        """Why the stack ended by itself, if it did."""

    def start(self, timeout: float) -> None:
        """Bring all parts up; raises ``StackError`` and leaves nothing running if one cannot."""
        self._thread.start()
        try:
            self._await_all(timeout)
        except BaseException:
            self.stop(fast=True)
            raise

    def stop(self, *, fast: bool = False) -> None:
        """End all parts, those first that need others. Called again with ``fast``: quicker."""
        if fast:
            self._hurry.set()
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def hurry(self) -> None:
        """Make a stop that is under way quick; safe to call from a signal handler."""
        self._hurry.set()

    @property
    def alive(self) -> bool:
        """Whether the parts are being looked after."""
        return self._thread.is_alive() and not self._stopping

    def names(self) -> list[str]:
        return list(self._watched)

    def state_of(self, name: str) -> State:
        return self._watched[name].state

    def restarts_of(self, name: str) -> int:
        """How often the part was started again since the stack came up."""
        return self._watched[name].restarts

    def pid_of(self, name: str) -> int:
        """The pid of the part's process; raises ``StackError`` while it has none."""
        child = self._watched[name].child
        if child is None:
            raise StackError(f"{name} is not running now.")
        return child.pid

    def restart(self, name: str, timeout: float = 60.0) -> None:
        """Stop a part in good order, start it again and wait until it can be used."""
        before = self._watched[name].restarts
        self._watched[name].restart_asked = True
        self._wake.set()
        self.wait_restarted(name, before, timeout)

    def wait_restarted(self, name: str, restarts: int, timeout: float = 60.0) -> None:
        """Wait until the part was started again more than ``restarts`` times and is usable."""
        watched = self._watched[name]
        with self._changed:
            if not self._changed.wait_for(
                lambda: watched.restarts > restarts and watched.usable, timeout
            ):
                raise StackError(f"{name} did not come back within {timeout:.0f} s.")

    def _await_all(self, timeout: float) -> None:
        def late() -> list[str]:
            return [w.part.label for w in self._watched.values() if not w.usable]

        with self._changed:
            self._changed.wait_for(lambda: self._ended or not late(), timeout)
            if self.failure:
                raise self.failure
            if late() and not self._ended:
                raise StackError(f"Not ready within {timeout:.0f} s: {', '.join(late())}.")

    def _run(self) -> None:
        try:
            while not self._stopping:
                for watched in self._watched.values():
                    self._step(watched)
                starting = any(w.state is State.STARTING for w in self._watched.values())
                self._wake.wait(0.03 if starting else 0.2)
                self._wake.clear()
        except StackError as error:
            self.failure = error
        except Exception as error:  # a fault of ours: the children must not be left alone
            self.failure = StackError(f"The supervisor failed: {error!r}")
            raise
        finally:
            self._stopping = True
            self._end_all()
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _step(self, watched: _Watched) -> None:
        if watched.state is State.WAITING:
            if time.monotonic() >= watched.retry_at and self._needs_met(watched):
                self._launch(watched)
        elif watched.state in (State.STARTING, State.RUNNING):
            assert watched.child is not None
            status = watched.child.exit_status()
            if status is not None:
                if watched.part.one_shot and status == 0:
                    watched.child = None
                    self._set_usable(watched, State.DONE)
                else:
                    self._failed(watched, _describe(status))
            elif watched.restart_asked:
                watched.restart_asked = False
                watched.child.stop(self._hurry)
                watched.child = None
                self._set(watched, State.WAITING)
            elif watched.state is State.STARTING:
                self._look_if_ready(watched)
            elif watched.part.full_disk and watched.part.full_disk.must_restart():
                self._report(
                    f"{watched.part.label}: its disk was full and has room again, which it does "
                    "not see; starting it again"
                )
                watched.restart_asked = True

    def _needs_met(self, watched: _Watched) -> bool:
        return all(
            self._watched[name].usable for name in watched.part.needs if name in self._watched
        )

    def _launch(self, watched: _Watched) -> None:
        watched.started = time.monotonic()
        if not watched.was_up and not watched.failures:
            self._report(f"{watched.part.label}: starting")
        try:
            watched.child = Child(watched.part.program(), watched.log)
        except (StackError, OSError) as error:
            if not watched.was_up:
                raise StackError(f"{watched.part.label} cannot start: {error}") from error
            self._failed(watched, f"cannot start: {error}")
            return
        self._set(watched, State.STARTING)

    def _look_if_ready(self, watched: _Watched) -> None:
        assert watched.child is not None
        if not watched.part.one_shot and watched.part.is_ready():
            self._set_usable(watched, State.RUNNING)
        elif time.monotonic() - watched.started > watched.part.ready_seconds:
            watched.child.stop(self._hurry, fast=True)
            self._failed(watched, f"was not ready within {watched.part.ready_seconds:.0f} s")

    def _set_usable(self, watched: _Watched, state: State) -> None:
        took = time.monotonic() - watched.started
        word = "done" if state is State.DONE else "ready"
        if watched.was_up:
            watched.restarts += 1
            word = "back"
        watched.was_up = True
        self._report(f"{watched.part.label}: {word} ({took:.1f} s)")
        self._set(watched, state)

    def _failed(self, watched: _Watched, reason: str) -> None:
        watched.child = None
        if watched.was_up and time.monotonic() - watched.started > STEADY_SECONDS:
            watched.failures = 0
        watched.failures += 1
        if not watched.was_up and watched.failures >= FIRST_ATTEMPTS:
            raise StackError(
                f"{watched.part.label} {reason}. Its log, {watched.log.path}, ends:\n"
                f"{watched.log.tail()}"
            )
        delay = restart_delay(watched.failures)
        watched.retry_at = time.monotonic() + delay
        sentence = f"{watched.part.label}: {reason}; starting it again"
        if watched.failures == GIVE_UP_AFTER:
            sentence = (
                f"{watched.part.label}: {reason}, {watched.failures} times in a row: something is "
                f"wrong with it, see {watched.log.path}. Trying again twice a minute"
            )
        if watched.failures <= GIVE_UP_AFTER:
            self._report(sentence)
        self._set(watched, State.WAITING)

    def _set(self, watched: _Watched, state: State) -> None:
        with self._changed:
            watched.state = state
            self._changed.notify_all()

    def _end_all(self) -> None:
        """Stop in levels: all that nobody running needs any more, then what these needed."""
        running = {name: w for name, w in self._watched.items() if w.child is not None}
        for watched in self._watched.values():
            watched.log.quiet = True
        while running:
            needed = {need for watched in running.values() for need in watched.part.needs}
            level = [watched for name, watched in running.items() if name not in needed]
            fast = self._hurry.is_set()
            for watched in level:
                assert watched.child is not None
                watched.child.ask_to_stop(fast=fast)
            for watched in level:
                assert watched.child is not None
                watched.child.await_end(self._hurry, fast=fast)
                watched.child = None
                self._set(watched, State.STOPPED)
                del running[watched.part.name]
        for watched in self._watched.values():
            watched.log.close()


def restart_delay(failures: int) -> float:
    """Seconds to wait after so many failures in a row: doubling, bounded, jittered by a half."""
    if failures >= GIVE_UP_AFTER:
        longest = SLOW_DELAY
    else:
        longest = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** (failures - 1))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 (nothing to do with secrets)


def _describe(status: int) -> str:
    if status < 0:
        return f"was killed ({signal.Signals(-status).name})"
    return f"stopped by itself (status {status})"
