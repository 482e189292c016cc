"""Log lines: what is written, where, and what must never be in them."""

from __future__ import annotations

import logging
import logging.handlers
import re
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from detect_api.core.config import MIB, Settings

_SECRETS = re.compile(
    r"([?&]token=|X-Amz-(?:Signature|Credential|Security-Token)=|AWSAccessKeyId=|Signature=|"
    r"(?i:authorization:?\s+(?:bearer|basic)\s+)|://[^/\s:@]+:)[^&\s'\"@]+"
)


def redact(text: str) -> str:
    """The text without signatures, keys, tokens and passwords in URLs."""
    return _SECRETS.sub(r"\1[redacted]", text)


def _redact_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: redact(value) if isinstance(value, str) else value for key, value in event.items()}


def configure_logging(settings: Settings) -> None:
    """Sends structlog's and the standard library's records the same way, redacted.

    To standard error as ``LOG_FORMAT`` says, and to ``LOG_FILE`` as JSON lines, rotated at
    20 MiB, five files kept.
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

    def formatter(renderer: Any) -> logging.Formatter:
        return structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )

    as_json = structlog.processors.JSONRenderer()
    console = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    stream = logging.StreamHandler()
    stream.setFormatter(formatter(as_json if settings.log_format == "json" else console))
    handlers: list[logging.Handler] = [stream]
    if settings.log_file is not None:
        file = logging.handlers.RotatingFileHandler(
            settings.log_file, maxBytes=20 * MIB, backupCount=4, encoding="utf-8"
        )
        file.setFormatter(formatter(as_json))
        handlers.append(file)
    root = logging.getLogger()
    root.handlers = handlers
    root.setLevel(settings.log_level)
    for noisy in ("botocore", "boto3", "urllib3", "procrastinate", "alembic", "httpx"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
