"""Having webhooks sent: each at least once, by whichever worker comes first.

A delivery is claimed for a little longer than one try may take. Should its worker die meanwhile,
the claim runs out and another worker sends it again, under the same ``webhook-id``. Sending has
no lane in the queue: it waits on the network, not on a core, and never keeps a task waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

import structlog
from sqlalchemy import func, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from detect_api.db.session import SessionFactory
from detect_api.db.tables import WebhookDelivery
from detect_api.jobs import outbox
from detect_api.jobs.views import rfc3339
from detect_api.webhooks.send import TIMEOUT_SECONDS, Outcome, Sender

log = structlog.get_logger(__name__)

WAITS = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
"""Seconds between the tries, as Standard Webhooks recommends: 75 hours in all."""

JITTER = 0.2
"""Waits are up to a fifth longer, so that what failed together is not tried together again."""

CLAIM_SECONDS = TIMEOUT_SECONDS + 10.0
LOG_LENGTH = 30
AT_ONCE = 16
"""Tries at a time in one worker; less than half of them go to the same receiver, so that one that
answers slowly leaves room for the others."""

_EACH = AT_ONCE // 4
_POLL_SECONDS = 1.0
_GONE = 410

T = TypeVar("T")

_CLAIM = text("""
    UPDATE webhook_deliveries SET claim = :claim, claimed_until = now() + :time
     WHERE id IN (
        SELECT id FROM webhook_deliveries
         WHERE status = 'pending' AND next_try_at <= now()
           AND (claimed_until IS NULL OR claimed_until < now())
           AND origin <> ALL(:busy)
         ORDER BY next_try_at LIMIT :limit
           FOR UPDATE SKIP LOCKED)
    RETURNING id, url, origin, body
""")


@dataclass(frozen=True)
class Claimed:
    """A delivery that this worker is to try now."""

    id: uuid.UUID
    claim: uuid.UUID
    url: str
    origin: str
    body: str


def claim(session: Session, limit: int, busy: list[str]) -> list[Claimed]:
    """Claims up to ``limit`` deliveries that are due, none of them to a ``busy`` receiver."""
    token = uuid.uuid4()
    rows = session.execute(
        _CLAIM,
        {
            "claim": token,
            "time": timedelta(seconds=CLAIM_SECONDS),
            "limit": limit,
            "busy": busy,
        },
    )
    return [Claimed(row.id, token, row.url, row.origin, row.body) for row in rows]


def record(session: Session, claimed: Claimed, outcome: Outcome) -> str | None:
    """Writes down what came of a try and when the next one is; returns the delivery's status.

    None if the delivery is gone. If the claim had run out, or a replay came between, the try is
    logged and whoever has the delivery now decides about it.
    """
    row = session.get(WebhookDelivery, claimed.id, with_for_update=True, populate_existing=True)
    if row is None:
        return None
    entry = {
        "at": rfc3339(outcome.at),
        "seconds": outcome.seconds,
        "status_code": outcome.status,
        "error": outcome.error,
        "response": outcome.response,
    }
    row.log = [*row.log, entry][-LOG_LENGTH:]
    if row.claim != claimed.claim:
        return row.status
    row.tries += 1
    row.claim = row.claimed_until = row.next_try_at = None
    # Times are the database's, so that workers whose clocks differ mean the same.
    if outcome.delivered:
        row.status, row.finished_at = outbox.DELIVERED, func.now()
    elif outcome.status == _GONE or row.tries > len(WAITS):
        row.status, row.finished_at = outbox.FAILED, func.now()
    else:
        wait = max(WAITS[row.tries - 1], outcome.retry_after)
        jittered = timedelta(seconds=wait * random.uniform(1, 1 + JITTER))  # noqa: S311
        row.next_try_at = func.now() + jittered
    return row.status


@dataclass
class Deliverer:
    """Sends what is due, many at a time, until it is cancelled."""

    sessions: SessionFactory
    sender: Sender
    _running: dict[asyncio.Task[None], str] = field(default_factory=dict)
    _threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(2, thread_name_prefix="webhooks")
    )

    async def run(self) -> None:
        """Works until it is cancelled; tries that are under way then are still ended.

        A database that is away is waited for.
        """
        try:
            while True:
                begun = 0
                try:
                    begun = await self._begin()
                except SQLAlchemyError as error:
                    log.warning("webhooks_postponed", error=type(error).__name__)
                if not begun:
                    await self._pause()
        finally:
            with contextlib.suppress(asyncio.CancelledError):
                await self._all_ended()
            self._threads.shutdown(wait=False)

    async def once(self) -> int:
        """Tries everything that is due now, and returns how many that were."""
        total = 0
        while begun := await self._begin():
            total += begun
            await self._all_ended()
        return total

    async def _begin(self) -> int:
        """Claims what is due, as far as there is room, and begins to send it."""
        room = AT_ONCE - len(self._running)
        if room <= 0:
            return 0
        counts = Counter(self._running.values())
        busy = [origin for origin, number in counts.items() if number >= _EACH]
        claimed = await self._db(lambda session: claim(session, min(room, _EACH), busy))
        for delivery in claimed:
            task = asyncio.create_task(self._deliver(delivery))
            self._running[task] = delivery.origin
            task.add_done_callback(self._ended)
        return len(claimed)

    async def _deliver(self, claimed: Claimed) -> None:
        outcome = await self.sender.send(claimed.url, str(claimed.id), claimed.body)
        try:
            status = await self._db(lambda session: record(session, claimed, outcome))
        except SQLAlchemyError as error:
            # The claim runs out, and it is sent again.
            log.warning("webhook_not_recorded", id=str(claimed.id), error=type(error).__name__)
            return
        log.info(
            "webhook_tried",
            id=str(claimed.id),
            receiver=claimed.origin,
            status_code=outcome.status,
            error=outcome.error,
            delivery=status,
        )

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("webhook_lost_for_now", exc_info=error)  # until its claim runs out

    async def _pause(self) -> None:
        """Waits a little, or until there is room again."""
        if self._running:
            await asyncio.wait(
                self._running, timeout=_POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
        else:
            await asyncio.sleep(_POLL_SECONDS)

    async def _all_ended(self) -> None:
        if self._running:
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _db(self, work: Callable[[Session], T]) -> T:
        def transaction() -> T:
            with self.sessions.begin() as session:
                return work(session)

        return await asyncio.get_running_loop().run_in_executor(self._threads, transaction)
