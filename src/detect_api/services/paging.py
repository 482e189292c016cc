"""Lists in pages, by opaque cursors."""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from detect_api.core.errors import InvalidRequest


@dataclass(frozen=True)
class Page:
    """One page of a list; ``next_cursor`` is None on the last one."""

    items: list[dict[str, Any]]
    next_cursor: str | None

    def as_json(self, name: str) -> dict[str, Any]:
        """The page as an answer, its items under ``name``."""
        return {name: self.items, "next_cursor": self.next_cursor}


def encode_cursor(moment: datetime, row_id: uuid.UUID) -> str:
    """A cursor for the row after which the next page starts."""
    values = [moment.isoformat(), str(row_id)]
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[datetime, uuid.UUID]:
    """What ``encode_cursor`` put in. Raises InvalidRequest for anything else."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        moment, row_id = json.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
        return datetime.fromisoformat(moment), uuid.UUID(row_id)
    except (ValueError, TypeError, AttributeError, binascii.Error):
        raise InvalidRequest(
            "The cursor is not one of ours: pass next_cursor of the page before as it is.",
            code="bad_cursor",
        ) from None
