"""Sizes: their limits and how they are written."""

from __future__ import annotations

from detect_api.core.config import MIB
from detect_api.core.errors import TooLarge


def megabytes(size: int, digits: int = 2) -> str:
    """A size in MB of 1,048,576 bytes, as the specification's messages write it."""
    return f"{size / MIB:.{digits}f}"


def check_size(size: int, limit: int, setting: str = "MAX_FILE_SIZE") -> None:
    """Raises TooLarge, naming the limit and the setting it comes from, for a file over it."""
    if size > limit:
        raise TooLarge(
            f"The file is larger than the limit of {limit} bytes ({megabytes(limit)}MB, {setting})."
        )
