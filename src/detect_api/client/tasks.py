"""Running flows in the calling task, and in tasks of their own where they run together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import httpx

from detect_api.client.drive import DOWNLOAD_TIMEOUT, arguments, key_header, whole_file
from detect_api.client.errors import refusal, silence
from detect_api.client.flow import Call, Effect, Fetch, Flow, Together, Wait, Work

T = TypeVar("T")


class Tasks:
    """Runs flows in one event loop. What reads a file does so in a thread."""

    def __init__(self, url: str, key: str | None = None) -> None:
        self.api = httpx.AsyncClient(base_url=url, headers=key_header(key))
        self._store = httpx.AsyncClient()

    async def run(self, flow: Flow[T]) -> T:
        """What the flow returns, or raises."""
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
                outcome = await self._perform(effect)
            except BaseException as error:  # thrown into the flow, which lets it out again
                failure = error

    async def close(self) -> None:
        """Closes the connections."""
        await self.api.aclose()
        await self._store.aclose()

    async def _perform(self, effect: Effect) -> Any:
        match effect:
            case Call():
                client = self._store if effect.store else self.api
                return await client.request(**arguments(effect, _content(effect)))
            case Fetch():
                return await self._fetch(effect)
            case Wait():
                return await asyncio.sleep(effect.seconds)
            case Work():
                return await asyncio.to_thread(effect.function)
            case Together():
                return await self._together(effect)

    async def _fetch(self, effect: Fetch) -> None:
        try:
            async with self.api.stream("GET", effect.url, timeout=DOWNLOAD_TIMEOUT) as answer:
                if answer.status_code >= 400:
                    await answer.aread()
                    raise refusal(answer)
                with whole_file(effect.path) as file:
                    async for piece in answer.aiter_bytes():
                        file.write(piece)
        except httpx.HTTPError as error:
            raise silence(error) from error

    async def _together(self, effect: Together) -> None:
        tasks = [asyncio.ensure_future(self.run(flow)) for flow in effect.flows]
        try:
            await asyncio.gather(*tasks)  # raises the first failure, as it is
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _content(call: Call) -> AsyncIterator[bytes] | None:
    return None if call.body is None else _pieces(call)


async def _pieces(call: Call) -> AsyncIterator[bytes]:
    assert call.body is not None
    pieces = call.body.pieces()
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece
        if call.on_sent is not None:
            call.on_sent(len(piece))
