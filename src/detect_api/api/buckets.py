"""Buckets of a minute's requests that fill up steadily, for a bounded number of names."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

MAX_KEPT = 10_000

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Allowance:
    """What may still be asked in this minute. With ``retry_after`` the bucket was empty."""

    limit: int
    left: int
    reset_seconds: int
    retry_after: int | None = None

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers that tell a client."""
        shown = {"limit": self.limit, "remaining": self.left, "reset": self.reset_seconds}
        return [(f"ratelimit-{name}".encode(), b"%d" % value) for name, value in shown.items()]


class Buckets(Generic[Name]):
    """For one thread only. The names that were heard of last are kept."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Name, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, name: Name, limit: int) -> Allowance:
        """Takes one out of the bucket of this name, which holds ``limit`` when it is full."""
        now, rate = time.monotonic(), limit / 60
        tokens, then = self._kept.get(name, (float(limit), now))
        tokens = min(float(limit), tokens + (now - then) * rate)
        enough = tokens >= 1
        if enough:
            tokens -= 1
        self._kept[name] = (tokens, now)
        self._kept.move_to_end(name)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        reset = math.ceil((limit - tokens) / rate)
        wait = None if enough else max(1, math.ceil((1 - tokens) / rate))
        return Allowance(limit, int(tokens), reset, wait)
