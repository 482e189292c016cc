"""What can go wrong. Each function does harm, lasts a few seconds, and has undone it at its end."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg

from detect_api.local.layout import StackError
from tests.fault.world import World

Fault = Callable[[World, random.Random], str]
"""Returns what it did, in some words."""


def kill_a_part(world: World, rng: random.Random) -> str:
    part = rng.choice(world.parts)
    return f"kill -9 {part}: {_signal(world.pid_of(part), signal.SIGKILL)}"


def kill_both_workers(world: World, rng: random.Random) -> str:
    for part in ("worker-0", "worker-1"):
        _signal(world.pid_of(part), signal.SIGKILL)
    return "kill -9 of both workers"


def kill_a_decoder(world: World, rng: random.Random) -> str:
    end = time.monotonic() + 5
    while time.monotonic() < end:
        for part in ("worker-0", "worker-1"):
            for child in children(world.pid_of(part)):
                with contextlib.suppress(psutil.Error):
                    child.kill()
                    return "kill -9 of a decoder"
        time.sleep(0.02)
    return "no decoder to kill"


def freeze_a_part(world: World, rng: random.Random) -> str:
    part, seconds = rng.choice(world.parts), rng.uniform(1, 5)
    if rng.random() < 0.15 and part.startswith("worker"):
        seconds = 11.0  # longer than a heartbeat may be missed
    with _frozen(world.pid_of(part)):
        time.sleep(seconds)
    return f"SIGSTOP {part} for {seconds:.1f} s"


def restart_a_server(world: World, rng: random.Random) -> str:
    part = rng.choice(("postgres", "postgres", "storage"))
    try:
        world.servers.restart(part, 60)
    except StackError as error:
        return f"restart of {part}, beside another fault ({error})"
    return f"restart of {part}"


def fail_over(world: World, rng: random.Random) -> str:
    """The database's machine falls silent; a while later its address is a new server's."""
    world.to_database.be_silent(rng.uniform(1, 4))
    _signal(world.pid_of("postgres"), signal.SIGKILL)
    time.sleep(rng.uniform(0.5, 3))
    world.to_database.hang_up(rng.uniform(0, 2))
    return "failover of the database"


def cut_a_line(world: World, rng: random.Random) -> str:
    seconds = rng.uniform(0.2, 5)
    name, line = rng.choice((("store", world.to_store), ("database", world.to_database)))
    line.hang_up(seconds)
    time.sleep(seconds)
    return f"line to {name} cut for {seconds:.1f} s"


def silence_a_line(world: World, rng: random.Random) -> str:
    seconds = rng.uniform(1, 6)
    name, line = rng.choice((("store", world.to_store), ("database", world.to_database)))
    line.be_silent(seconds)
    time.sleep(seconds)
    return f"line to {name} silent for {seconds:.1f} s"


def reset_mid_way(world: World, rng: random.Random) -> str:
    count = rng.randrange(1, 6)
    world.to_store.cuts = [rng.randrange(1000, 6_000_000) for _ in range(count)]
    time.sleep(5)
    world.to_store.cuts = []
    return f"{count} resets in the middle of what goes to storage"


def slow_storage(world: World, rng: random.Random) -> str:
    pause = rng.uniform(0.005, 0.05)
    with world.to_store.slow(pause):
        time.sleep(6)
    return f"storage slow by {pause * 1000:.0f} ms for each 64 KiB"


def throttled_storage(world: World, rng: random.Random) -> str:
    share = rng.uniform(0.2, 1.0)
    before = world.to_store.refused
    with world.to_store.refusing(share):
        time.sleep(rng.uniform(2, 6))
    return f"storage answered {world.to_store.refused - before} times 503 or 500"


def full_disk(world: World, rng: random.Random) -> str:
    if world.disk is None:
        return "no full disk: that needs root and tmpfs"
    with no_space(world.disk, rng):
        time.sleep(rng.uniform(1, 4))
    return "disk full"


@contextlib.contextmanager
def no_space(disk: Path, rng: random.Random) -> Iterator[None]:
    """Nothing more can be written to the file system at ``disk``; up to 64 KiB were left."""
    ballast = disk / f"ballast-{rng.random()}"
    try:
        with contextlib.suppress(OSError), ballast.open("wb") as file:
            left = shutil.disk_usage(disk).free
            with contextlib.suppress(OSError):
                os.posix_fallocate(file.fileno(), 0, max(4096, left - rng.randrange(65536)))
            with contextlib.suppress(OSError):
                file.seek(0, os.SEEK_END)
                while True:
                    file.write(bytes(4096))
                    file.flush()
        yield
    finally:
        ballast.unlink(missing_ok=True)


def clock_jump(world: World, rng: random.Random) -> str:
    """Up to 10 minutes, which S3's signatures bear; a sweep's deadlines must not heed it."""
    return f"the workers' clock {_wrong(world.set_clock, rng)}"


def api_clock_jump(world: World, rng: random.Random) -> str:
    """What the API signs by it, S3 bears; what it writes down must not heed it."""
    return f"the API's clock {_wrong(world.set_api_clock, rng)}"


def _wrong(set_clock: Callable[[float], None], rng: random.Random) -> str:
    seconds = rng.choice((-1, 1)) * rng.uniform(45, 600)
    set_clock(seconds)
    time.sleep(5)
    set_clock(0)
    return f"wrong by {seconds:.0f} s"


def two_sweeps(world: World, rng: random.Random) -> str:
    """No lease keeps one worker from sweeping beside the other."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        with (
            contextlib.suppress(psycopg.Error),
            psycopg.connect(world.servers.database_url, autocommit=True) as connection,
        ):
            while time.monotonic() < end:
                connection.execute("DELETE FROM leases")
                time.sleep(0.05)
    return "sweeps at the same time"


ALL: tuple[Fault, ...] = (
    kill_a_part, kill_a_part, kill_a_part, kill_both_workers, kill_a_decoder, freeze_a_part,
    freeze_a_part, restart_a_server, fail_over, cut_a_line, silence_a_line, reset_mid_way,
    slow_storage, throttled_storage, full_disk, clock_jump, api_clock_jump, two_sweeps,
)  # fmt: skip


def _signal(pid: int | None, number: signal.Signals) -> str:
    try:
        if pid is None:
            return "it is just being started again"
        os.kill(pid, number)
    except ProcessLookupError:
        return "it has just ended"
    return "done"


@contextlib.contextmanager
def _frozen(pid: int | None) -> Iterator[None]:
    _signal(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(pid, signal.SIGCONT)


def children(pid: int | None) -> list[psutil.Process]:
    """What a process has started, and what that has."""
    try:
        return psutil.Process(pid).children(recursive=True) if pid else []
    except psutil.Error:
        return []
