"""How much of a file has been sent, told to whoever asked."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

Progress = Callable[[int, int], None]
"""Called with bytes sent and bytes in all, by one thread at a time."""


class Tally:
    """Counts what parallel requests send. What a failed request had sent is taken back."""

    def __init__(self, total: int, on_progress: Progress | None) -> None:
        self._total = total
        self._on_progress = on_progress
        self._done = 0
        self._lock = Lock()

    def add(self, count: int) -> None:
        """So many bytes more (or, if negative, fewer) are there."""
        with self._lock:
            self._done += count
            if self._on_progress is not None:
                # The head and the tail of a form are counted with its file, hence the limit.
                self._on_progress(max(0, min(self._done, self._total)), self._total)

    def attempt(self) -> Attempt:
        """A request that may fail."""
        return Attempt(self)


class Attempt:
    """What one request has sent so far."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self.sent = 0

    def add(self, count: int) -> None:
        """So many bytes more are sent."""
        self.sent += count
        self._tally.add(count)

    def undo(self) -> None:
        """The request failed: its bytes count for nothing."""
        self._tally.add(-self.sent)
        self.sent = 0
