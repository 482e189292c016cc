"""What part of an object a request asks for (RFC 9110, section 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime, parsedate_to_datetime

_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.IGNORECASE)


class Unsatisfiable(Exception):
    """The object has no such bytes."""


@dataclass(frozen=True)
class Span:
    """The bytes from ``start`` up to, not including, ``end``."""

    start: int
    end: int


def span_of(header: str | None, size: int) -> Span | None:
    """The part that a ``Range`` header asks of ``size`` bytes; None: send all of them.

    What is no range of bytes is ignored, and so are several at once, as the RFC allows. Raises
    Unsatisfiable.
    """
    found = _RANGE.fullmatch(header or "")
    if found is None:
        return None
    first, last = found.groups()
    if first:
        if last and int(last) < int(first):
            return None
        if int(first) >= size:
            raise Unsatisfiable
        return Span(int(first), min(size, int(last) + 1) if last else size)
    if not last:
        return None
    if int(last) == 0 or size == 0:
        raise Unsatisfiable
    return Span(max(0, size - int(last)), size)


def still_wanted(if_range: str | None, etag: str, modified: datetime) -> bool:
    """Whether ``If-Range`` lets a part be sent: it is absent or names the bytes that are there.

    ``etag`` comes with its quotes. A date counts only if it is the very one that was given out.
    """
    if if_range is None:
        return True
    if if_range.startswith(('"', "W/")):
        return if_range == etag
    try:
        return parsedate_to_datetime(if_range) == modified.replace(microsecond=0)
    except (ValueError, TypeError):
        return False


def http_date(moment: datetime) -> str:
    """A time (UTC) as HTTP writes it."""
    return format_datetime(moment, usegmt=True)
