"""Log lines: what is written, where, and what must never be in them."""

from __future__ import annotations

import fcntl
import io
import logging
import logging.handlers
import os
import re
import sys
from pathlib import Path
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from detect_api.core.config import MIB, Settings

_SECRETS = re.compile(
    r"([?&]token=|X-Amz-(?:Signature|Credential|Security-Token)=|AWSAccessKeyId=|Signature=|"
    r"(?i:authorization:?\s+(?:bearer|basic)\s+)|://[^/\s:@]+:)[^&\s'\"@]+"
)


_TERMINAL = re.compile(r"[^\S \t\n]|[\x00-\x08\x0e-\x1f\x7f-\x9f]")
"""Control characters, and all that ends a line or a column but the plain ones."""

LOG_FILE_BYTES = 20 * MIB
KEPT_FILES = 5


def redact(text: str) -> str:
    """The text without signatures, keys, tokens and passwords in URLs."""
    return _SECRETS.sub(r"\1[redacted]", text)


def _redact_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: redact(value) if isinstance(value, str) else value for key, value in event.items()}


def _printable(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The event without what would do something in a terminal; clients choose some of the words."""
    return {
        key: _TERMINAL.sub("\N{REPLACEMENT CHARACTER}", value) if isinstance(value, str) else value
        for key, value in event.items()
    }


class SharedFile(logging.handlers.RotatingFileHandler):
    """A log that several processes write to, of ``LOG_FILE_BYTES`` before it is rotated.

    One of them rotates it, the others notice and go on in the new file. Each line is written at
    once, so that lines never mix.
    """

    def __init__(self, path: Path, limit: int) -> None:
        super().__init__(path, maxBytes=limit, backupCount=KEPT_FILES - 1, encoding="utf-8")
        self._wanted = 0

    def _open(self) -> io.TextIOWrapper:
        return Path(self.baseFilename).open("a", buffering=MIB, encoding=self.encoding)

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: N802
        return self._is_full(len(self.format(record).encode(errors="replace")) + 1)

    def doRollover(self) -> None:  # noqa: N802
        folder = os.open(Path(self.baseFilename).parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._is_full(self._wanted):
                super().doRollover()
        except BlockingIOError:
            return  # another process is at it
        finally:
            os.close(folder)

    def _is_full(self, wanted: int) -> bool:
        """Whether so many bytes more would be too many; a file has one line at least."""
        self._wanted = wanted
        size = os.fstat(self._current().fileno()).st_size
        return size > 0 and size + wanted > self.maxBytes

    def _current(self) -> io.TextIOWrapper:
        """The file that has the name now: another process may have rotated the one before."""
        if self.stream is not None:
            try:
                named = Path(self.baseFilename).stat()
                if os.path.samestat(named, os.fstat(self.stream.fileno())):
                    return self.stream
            except FileNotFoundError:
                pass
            self.stream.close()
        self.stream = self._open()
        return self.stream


def configure_logging(settings: Settings) -> None:
    """Sends structlog's and the standard library's records the same way, redacted.

    To standard error as ``LOG_FORMAT`` says, and to ``LOG_FILE`` as JSON lines, which all
    processes may share.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redact_event,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )

    def formatter(*render: Any) -> logging.Formatter:
        return structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )

    as_json = structlog.processors.JSONRenderer()
    console = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    stream = logging.StreamHandler()
    renderers = [as_json] if settings.log_format == "json" else [_printable, console]
    stream.setFormatter(formatter(*renderers))
    handlers: list[logging.Handler] = [stream]
    if settings.log_file is not None:
        file = SharedFile(settings.log_file, LOG_FILE_BYTES)
        file.setFormatter(formatter(as_json))
        handlers.append(file)
    root = logging.getLogger()
    root.handlers = handlers
    root.setLevel(settings.log_level)
    for noisy in ("botocore", "boto3", "urllib3", "procrastinate", "alembic", "httpx"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
