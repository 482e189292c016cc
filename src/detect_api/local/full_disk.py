"""A program that goes on failing although its disk, which was full, has room again."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

SIGN = "no space left on device"
ROOM_BYTES = 64 * 2**20
FIRST_GRACE_SECONDS = 3.0
"""What a program says within this time of there being room may be about before."""
LONGEST_GRACE_SECONDS = 300.0
"""Reached by doubling, where starting it again does not help (a quota, no inodes left)."""


class FullDisk:
    """Watches one program: ``heed`` gets its log's lines, from any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._said = 0.0
        self._room_since: float | None = None
        self._grace = FIRST_GRACE_SECONDS

    def heed(self, line: str) -> None:
        """Notes when the program says that there is no space."""
        if SIGN in line:
            self._said = time.monotonic()

    def must_restart(self) -> bool:
        """Whether it still says so with room on the disk; asked again and again while it runs.

        Once it has said True it begins anew. Raises nothing: a folder that cannot be looked at
        has no room.
        """
        try:
            free = shutil.disk_usage(self._folder).free
        except OSError:
            free = 0
        now = time.monotonic()
        if free < ROOM_BYTES:
            self._room_since = None
            self._grace = FIRST_GRACE_SECONDS
            return False
        if self._room_since is None:
            self._room_since = now
        if self._said < self._room_since + self._grace:
            return False
        self._room_since = now
        self._grace = min(2 * self._grace, LONGEST_GRACE_SECONDS)
        return True
