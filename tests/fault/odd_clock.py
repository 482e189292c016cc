"""Runs a module of the service with a clock that is wrong, and jumps.

``python odd_clock.py FILE MODULE``: the seconds in FILE are added to what ``time.time`` and
``datetime.now`` say; they are read anew each time. The monotonic clock goes on as it is, as it
does when a machine's clock is set. Files that the operating system dates are not changed.
"""

from __future__ import annotations

import datetime
import runpy
import sys
import time
from pathlib import Path
from typing import Any

_TRUE_TIME = time.time
_TRUE_DATETIME = datetime.datetime


class _Kind(type):
    """Every datetime counts as one, also those made in C."""

    def __instancecheck__(cls, other: object) -> bool:
        return isinstance(other, _TRUE_DATETIME)


def install(offset: Path) -> None:
    """From here on this process's clock is wrong by what the file says."""

    def shift() -> float:
        try:
            return float(offset.read_text() or 0)
        except (OSError, ValueError):
            return 0.0

    def wrong_time() -> float:
        return _TRUE_TIME() + shift()

    class Clock(_TRUE_DATETIME, metaclass=_Kind):
        __slots__ = ()

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return _TRUE_DATETIME.fromtimestamp(wrong_time(), tz)

        @classmethod
        def utcnow(cls) -> Any:
            return _TRUE_DATETIME.fromtimestamp(wrong_time(), datetime.UTC).replace(tzinfo=None)

    Clock.__module__, Clock.__name__, Clock.__qualname__ = "datetime", "datetime", "datetime"
    setattr(time, "time", wrong_time)  # noqa: B010
    setattr(datetime, "datetime", Clock)  # noqa: B010


if __name__ == "__main__":
    install(Path(sys.argv[1]))
    # This folder is no place to import from: it was put there for this file alone.
    sys.path.pop(0)
    runpy.run_module(sys.argv[2], run_name="__main__", alter_sys=True)
