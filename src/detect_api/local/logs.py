"""Where the output of a child goes: a file of bounded size, and its alarms to the console."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

FILE_BYTES = 5 * 1024 * 1024
FILES_KEPT = 3
LINE_BYTES = 16 * 1024
TAIL_LINES = 30
ALARMS_PER_MINUTE = 20

Report = Callable[[str], None]


class _File(RotatingFileHandler):
    """A log file that a full disk may leave with gaps: a child must never block, nor the console
    be flooded, because its log cannot be written."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (the library's name)
        del record


class ChildLog:
    """The log of one part, whatever process plays it at the time."""

    def __init__(
        self,
        name: str,
        path: Path,
        alarm: re.Pattern[str],
        report: Report,
        heed: Callable[[str], None] | None = None,
    ) -> None:
        self.path = path
        self._name = name
        self._alarm = alarm
        self._report = report
        self._heed = heed
        self._file = _File(
            path, maxBytes=FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8", delay=True
        )
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._alarms: deque[float] = deque()
        self._muffled = False
        self._in_traceback = False
        self.quiet = False

    def pump(self, stream: IO[bytes]) -> threading.Thread:
        """Copy the stream until its end, in a thread of its own."""
        thread = threading.Thread(
            target=self._copy, args=(stream,), name=f"log-{self._name}", daemon=True
        )
        thread.start()
        return thread

    def tail(self, lines: int = 5) -> str:
        """The last lines, for an error message."""
        return "\n".join(list(self._tail)[-lines:])

    def close(self) -> None:
        self._file.close()

    def _copy(self, stream: IO[bytes]) -> None:
        with stream:
            while raw := stream.readline(LINE_BYTES):
                line = raw.decode("utf-8", errors="replace").rstrip("\r\n")
                self._tail.append(line)
                if self._heed is not None:
                    self._heed(line)
                self._file.handle(
                    logging.LogRecord(self._name, logging.INFO, "", 0, line, None, None)
                )
                if not self.quiet and self._is_alarming(line):
                    self._sound(line)

    def _is_alarming(self, line: str) -> bool:
        """Of a traceback, only the line at its end that names the error."""
        if line.startswith("Traceback "):
            self._in_traceback = True
            return False
        if self._in_traceback and line and not line.startswith(" "):
            self._in_traceback = False
            return True
        return not self._in_traceback and self._alarm.search(line) is not None

    def _sound(self, line: str) -> None:
        now = time.monotonic()
        while self._alarms and now - self._alarms[0] > 60:
            self._alarms.popleft()
        if len(self._alarms) < ALARMS_PER_MINUTE:
            self._alarms.append(now)
            self._muffled = False
            self._report(f"{self._name}: {line}")
        elif not self._muffled:
            self._muffled = True
            self._report(f"{self._name}: many more like this, see {self.path}")
