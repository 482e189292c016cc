"""How much of what waits one round of the sweep does, so that no part of it keeps out the others.

A storage that answers slowly, or only in the end that it does not, costs a round the time of one
look for each thing that waits there: with many of them, hours in which nobody would look for the
tasks of dead workers.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

SECONDS = 4.0
"""Half of what the sweep's lease allows, so that one slow storage does not double the sweeps."""


def in_time(items: Iterable[T]) -> Iterator[T]:
    """The first of these, until the time is over; the next round goes on with the rest."""
    ends = time.monotonic() + SECONDS
    for item in items:
        if time.monotonic() > ends:
            return
        yield item
