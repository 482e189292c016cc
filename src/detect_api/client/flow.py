"""What a client does, apart from how it waits.

A flow is a generator that yields what is to be done and is sent what came of it. ``Client`` does
it with threads, ``AsyncClient`` with tasks, so that the logic is written once. A failure is thrown
into the flow at the ``yield``; clean-up after it must not yield.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import httpx

from detect_api.client.errors import ClientError, refusal, silence

Json = dict[str, Any]
T = TypeVar("T")

TIMEOUT = httpx.Timeout(30.0, connect=10.0)
UPLOAD_TIMEOUT = httpx.Timeout(120.0, connect=10.0)
"""For each wait on the connection, not for the whole of a request."""


class Body(Protocol):
    """Bytes that are made while they are sent."""

    @property
    def size(self) -> int:
        """So many bytes, exactly."""

    def pieces(self) -> Iterator[bytes]:
        """The bytes from the beginning, each time anew. Reading them may block."""


@dataclass(frozen=True)
class Call:
    """A request; what comes of it is an ``httpx.Response`` with its body, or httpx.HTTPError.

    ``on_sent`` is called with the length of each piece of the body once it is sent. A call to the
    ``store`` carries nothing that is meant for the API alone.
    """

    method: str
    url: str
    json: Json | None = None
    params: Mapping[str, str | int | Sequence[str]] | None = None
    headers: Mapping[str, str] | None = None
    body: Body | None = None
    on_sent: Callable[[int], None] | None = None
    timeout: httpx.Timeout = field(default_factory=lambda: TIMEOUT)
    store: bool = False


@dataclass(frozen=True)
class Fetch:
    """A GET whose body becomes a file, in pieces; the file is there whole or not at all."""

    url: str
    path: Path


@dataclass(frozen=True)
class Wait:
    """Time that has to pass."""

    seconds: float


@dataclass(frozen=True)
class Work:
    """Something that blocks for a while, such as reading a part of a file."""

    function: Callable[[], Any]


@dataclass(frozen=True)
class Together:
    """Flows to be run at the same time. The first failure ends the others and is the outcome."""

    flows: Sequence[Flow[None]]


Effect: TypeAlias = "Call | Fetch | Wait | Work | Together"
Flow: TypeAlias = Generator[Effect, Any, T]


@dataclass(frozen=True)
class Patience:
    """How often something is tried, and how long to pause between."""

    tries: int = 8
    first_seconds: float = 0.25
    most_seconds: float = 10.0

    def pause(self, tried: int) -> float:
        """Seconds to wait after so many failures in a row: longer and longer, never in step."""
        longest = min(self.most_seconds, self.first_seconds * 2.0 ** min(tried, 30))
        return random.uniform(longest / 2, longest)  # noqa: S311 (spreads load, guards nothing)


class Shares(Generic[T]):
    """Work to be shared out between flows that run together, each item once."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._lock = Lock()

    def take(self) -> T | None:
        """The next item; None when there is no more."""
        with self._lock:
            return next(self._items, None)


def answer(call: Call) -> Flow[httpx.Response]:
    """The server's answer. Raises ClientError if it says no or does not answer."""
    try:
        found: httpx.Response = yield call
    except httpx.HTTPError as error:
        raise silence(error) from error
    if found.status_code >= 400:
        raise refusal(found)
    return found


def ask(method: str, url: str, json: Json | None = None, **more: Any) -> Flow[Json]:
    """The JSON that the server answers. Raises ClientError."""
    found = yield from answer(Call(method, url, json=json, **more))
    try:
        body: Json = found.json()
    except ValueError:
        raise ClientError(
            f"What answers at {found.url} is no detect-api server: check the address.",
            status=found.status_code,
        ) from None
    return body


def patiently(attempt: Callable[[], Flow[T]], patience: Patience) -> Flow[T]:
    """The outcome of an attempt that is made again while its failures are temporary."""
    for tried in count(1):
        try:
            return (yield from attempt())
        except ClientError as error:
            if not error.temporary or tried >= patience.tries:
                raise
        yield Wait(patience.pause(tried))
    raise AssertionError("count() ends")
