"""Running flows in the calling thread, and in threads where they run together."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any, TypeVar

import httpx

from detect_api.client.drive import (
    DOWNLOAD_TIMEOUT,
    arguments,
    interrupted,
    key_header,
    whole_file,
)
from detect_api.client.errors import refusal, silence
from detect_api.client.flow import Call, Effect, Fetch, Flow, Together, Wait, Work

T = TypeVar("T")

_TICK_SECONDS = 0.1
_LET_GO_SECONDS = 5.0
"""A thread that hangs in a dead connection is left behind after so long; it ends by itself."""


class _Halt:
    """Tells the flows that run together to end; also when those around them are told."""

    def __init__(self, outer: _Halt | None = None) -> None:
        self._event = threading.Event()
        self._outer = outer

    def set(self) -> None:
        self._event.set()

    def check(self) -> None:
        """Raises ClientError if it is time to end."""
        if self._event.is_set():
            raise interrupted()
        if self._outer is not None:
            self._outer.check()

    def wait(self, seconds: float) -> None:
        """Lets the time pass; raises ClientError if it is time to end."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.check()
            self._event.wait(min(left, _TICK_SECONDS))
        self.check()


class Threads:
    """Runs flows. May be used by several threads at once."""

    def __init__(self, url: str, key: str | None = None) -> None:
        self.api = httpx.Client(base_url=url, headers=key_header(key))
        self._store = httpx.Client()
        self._halt = _Halt()

    def run(self, flow: Flow[T]) -> T:
        """What the flow returns, or raises."""
        return self._run(flow, self._halt)

    def interrupt(self) -> None:
        """Ends all that runs, in whatever thread, at the next piece of a body; for good."""
        self._halt.set()

    def close(self) -> None:
        """Closes the connections."""
        self.api.close()
        self._store.close()

    def _run(self, flow: Flow[T], halt: _Halt) -> T:
        outcome: Any = None
        failure: BaseException | None = None
        while True:
            try:
                effect = flow.send(outcome) if failure is None else flow.throw(failure)
            except StopIteration as end:
                returned: T = end.value
                return returned
            outcome = failure = None
            try:
                outcome = self._perform(effect, halt)
            except BaseException as error:  # thrown into the flow, which lets it out again
                failure = error

    def _perform(self, effect: Effect, halt: _Halt) -> Any:
        halt.check()
        match effect:
            case Call():
                client = self._store if effect.store else self.api
                return client.request(**arguments(effect, _content(effect, halt)))
            case Fetch():
                return self._fetch(effect, halt)
            case Wait():
                return halt.wait(effect.seconds)
            case Work():
                return effect.function()
            case Together():
                return self._together(effect, halt)

    def _fetch(self, effect: Fetch, halt: _Halt) -> None:
        try:
            with self.api.stream("GET", effect.url, timeout=DOWNLOAD_TIMEOUT) as answer:
                if answer.status_code >= 400:
                    answer.read()
                    raise refusal(answer)
                with whole_file(effect.path) as file:
                    for piece in answer.iter_bytes():
                        halt.check()
                        file.write(piece)
        except httpx.HTTPError as error:
            raise silence(error) from error

    def _together(self, effect: Together, outer: _Halt) -> None:
        halt = _Halt(outer)
        failures: list[BaseException] = []

        def one(flow: Flow[None]) -> None:
            try:
                self._run(flow, halt)
            except BaseException as error:
                failures.append(error)  # the first is the cause, the others follow from it
                halt.set()

        # Daemons: one that hangs in a dead connection does not keep the process from ending.
        threads = [threading.Thread(target=one, args=(flow,), daemon=True) for flow in effect.flows]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(_TICK_SECONDS)
                    if failures:
                        break
        finally:
            if any(thread.is_alive() for thread in threads):
                halt.set()
                end = time.monotonic() + _LET_GO_SECONDS
                for thread in threads:
                    thread.join(max(0.0, end - time.monotonic()))
        if failures:
            raise failures[0]


def _content(call: Call, halt: _Halt) -> Iterator[bytes] | None:
    return None if call.body is None else _pieces(call, halt)


def _pieces(call: Call, halt: _Halt) -> Iterator[bytes]:
    assert call.body is not None
    for piece in call.body.pieces():
        halt.check()
        yield piece
        if call.on_sent is not None:
            call.on_sent(len(piece))
