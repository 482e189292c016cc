"""Waking those who follow a job: one LISTEN connection for the whole process."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections import defaultdict
from collections.abc import Iterator

import psycopg
import structlog

from detect_api.api.status import StatusCache
from detect_api.db.session import KEEPALIVE
from detect_api.jobs.queue import CHANNEL

log = structlog.get_logger(__name__)

_RECONNECT_SECONDS = 1.0


class Broadcast:
    """Sets the events of a job's followers whenever the database announces a change of it.

    ``status`` keeps what is known of jobs between two announcements.
    """

    def __init__(self, database_url: str) -> None:
        self.status = StatusCache()
        self._database_url = database_url
        self._followers: dict[uuid.UUID, set[asyncio.Event]] = defaultdict(set)

    @contextlib.contextmanager
    def follow(self, *job_ids: uuid.UUID) -> Iterator[asyncio.Event]:
        """An event that is set at each change of the jobs. Missed ones are made up for by the
        follower, who looks again from time to time anyway."""
        changed = asyncio.Event()
        for job_id in job_ids:
            self._followers[job_id].add(changed)
        try:
            yield changed
        finally:
            for job_id in job_ids:
                followers = self._followers[job_id]
                followers.discard(changed)
                if not followers:
                    del self._followers[job_id]

    async def run(self) -> None:
        """Listens until cancelled; reconnects when the database was away."""
        while True:
            try:
                await self._listen()
            except (psycopg.Error, OSError) as error:
                log.warning("listen_lost", error=type(error).__name__)
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _listen(self) -> None:
        connection = await psycopg.AsyncConnection.connect(
            self._database_url, autocommit=True, **KEEPALIVE
        )
        try:
            async with connection:
                await connection.execute(f'LISTEN "{CHANNEL}"')
                self.status.listen(True)
                self._wake_all()
                async for notice in connection.notifies():
                    with contextlib.suppress(ValueError):
                        self._announce(uuid.UUID(notice.payload))
        finally:
            self.status.listen(False)

    def _announce(self, job_id: uuid.UUID) -> None:
        self.status.changed(job_id)
        for changed in self._followers.get(job_id, ()):
            changed.set()

    def _wake_all(self) -> None:
        for followers in self._followers.values():
            for changed in followers:
                changed.set()
