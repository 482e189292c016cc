"""Whether a worker is alive and ready, as an orchestrator asks it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

STUCK_SECONDS = 60.0
"""An event loop that stood still for so long will not go on: the process is to be replaced."""

SILENT_SECONDS = 30.0
"""A worker that could not reach the database for so long takes no work."""


@dataclass
class WorkerHealth:
    """What the worker's parts last said of themselves. Times are the process's monotonic ones."""

    has_models: Callable[[], bool]
    is_stopping: Callable[[], bool]
    clock: Callable[[], float] = time.monotonic
    _loop: float = field(init=False)
    _database: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._loop = self.clock()

    def loop_turned(self) -> None:
        """The event loop has come round."""
        self._loop = self.clock()

    def database_answered(self) -> None:
        """The database has taken the worker's sign of life."""
        self._database = self.clock()

    def alive(self) -> tuple[bool, str]:
        """Whether the process does anything at all, with a word for people."""
        still = self.clock() - self._loop
        if still > STUCK_SECONDS:
            return False, f"stuck for {still:.0f} s"
        return True, "alive"

    def ready(self) -> tuple[bool, str]:
        """Whether it takes work: not while it starts or drains, nor without its database."""
        alive, word = self.alive()
        if not alive:
            return False, word
        if self.is_stopping():
            return False, "stopping"
        if not self.has_models():
            return False, "loading its models"
        if self._database is None or self.clock() - self._database > SILENT_SECONDS:
            return False, "does not reach the database"
        return True, "ready"
