"""A whole service whose every line can be made bad: servers, API and two workers of its own.

The servers (PostgreSQL, S3) belong to one stack, API and workers to another one that knows them by
addresses of bad lines alone, as on several machines. As root, the servers' disk is a small one.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from detect_api.core.config import Settings
from detect_api.local.layout import StackError
from detect_api.local.stack import Programs, Stack
from detect_api.storage.s3 import make_client
from tests.conftest import make_settings
from tests.fault.lines import BadLine

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DISK_BYTES = 3 * 2**30
SERVERS = ("postgres", "storage")
SERVICE = ("api", "worker-0", "worker-1")


class World:
    """The parts, by name, and the lines between them."""

    def __init__(self, folder: Path, servers: Stack, rng: random.Random, *, small: bool) -> None:
        settings = servers.settings
        assert settings.s3_endpoint_url
        self.folder = folder
        self.servers = servers
        self.disk: Path | None = servers.layout.root.parent if small else None
        """Where a full disk can be played; None where the disk is everybody's."""
        self.to_store = BadLine(settings.s3_endpoint_url, rng)
        self.to_database = BadLine(settings.database_url or "", rng)
        self.unknown_uploads = 0
        """Empty uploads in parts that a process began in storage and died before it said so."""
        self.clock = folder / "clock"
        self.api_clock = folder / "api-clock"
        self.service = Stack(
            settings.model_copy(update=self._addresses(settings)), programs=self._programs()
        )
        self.store: S3Client = make_client(settings, public=False)

    def _addresses(self, settings: Settings) -> dict[str, object]:
        url = urlsplit(settings.database_url or "")
        line = urlsplit(self.to_database.url)
        user = url.netloc.rpartition("@")[0]
        return {
            "data_dir": self.folder / "service",
            "port": 0,
            "workers": 2,
            "worker_threads": 1,
            "segment_seconds": 2.0,
            "s3_endpoint_url": self.to_store.url,
            "database_url": urlunsplit(url._replace(netloc=f"{user}@{line.netloc}")),
        }

    def _programs(self) -> Programs:
        return Programs(
            api=with_clock(self.api_clock, "detect_api.local.serve_api"),
            worker=with_clock(self.clock, "detect_api.jobs.worker"),
        )

    @property
    def settings(self) -> Settings:
        """Those of the servers: for looking at them past the bad lines."""
        return self.servers.settings

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of what can be killed."""
        return (*SERVERS, *SERVICE)

    def stack_of(self, part: str) -> Stack:
        """Who looks after a part."""
        return self.servers if part in SERVERS else self.service

    def pid_of(self, part: str) -> int | None:
        """The pid of a part, None while it is being started again."""
        try:
            return self.stack_of(part).pid_of(part)
        except StackError:
            return None

    def set_clock(self, seconds: float) -> None:
        """The workers' clocks jump: they are wrong by so much from now on."""
        set_clock(self.clock, seconds)

    def set_api_clock(self, seconds: float) -> None:
        """The API's clock jumps."""
        set_clock(self.api_clock, seconds)


def with_clock(clock: Path, module: str) -> tuple[str, ...]:
    """The command that runs a module of the service by the clock in this file."""
    return (sys.executable, str(Path(__file__).with_name("odd_clock.py")), str(clock), module)


def set_clock(clock: Path, seconds: float) -> None:
    """From now on the clock in this file is wrong by so much."""
    written = clock.with_suffix(".new")
    written.write_text(str(seconds))
    written.replace(clock)


@contextlib.contextmanager
def make_world(folder: Path, rng: random.Random) -> Iterator[World]:
    """A running world whose files, logs too, lie in this folder."""
    with small_disk(folder / "disk") as (disk, small):
        servers = Stack(make_settings(data_dir=disk / "servers"), api=False)
        servers.start()
        try:
            world = World(folder, servers, rng, small=small)
            with world.to_store.running(), world.to_database.running():
                world.service.start()
                try:
                    yield world
                finally:
                    world.service.stop(fast=True)
        finally:
            servers.stop(fast=True)


@contextlib.contextmanager
def small_disk(at: Path) -> Iterator[tuple[Path, bool]]:
    """A file system of its own, as root on Linux; else an ordinary folder, and False."""
    at.mkdir(parents=True)
    small = (
        os.geteuid() == 0
        and sys.platform == "linux"
        and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=755", "none", str(at)],
            capture_output=True, check=False,
        ).returncode == 0
    )  # fmt: skip
    try:
        yield at, small
    finally:
        if small:
            subprocess.run(["umount", "--lazy", str(at)], check=False)
