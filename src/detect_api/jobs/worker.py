"""A worker process: takes tasks from the queue until it is told to stop.

One lane runs segments, one at a time; another runs the short tasks, so that plates of a finished
segment appear while the next one is read; a third makes redacted copies of videos. Beside
them the process sweeps and sends webhooks. Run as ``python -m detect_api.jobs.worker``.

Whatever shakes the queue's own bookkeeping (the database restarts in the middle of a task, say)
ends the process: the supervisor starts a new one, and the sweep hands its tasks on. That is one
way to recover instead of many.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from typing import Any

import psycopg
import structlog
from procrastinate import App
from procrastinate.exceptions import ConnectorException

from detect_api.core import tracing, worker_port
from detect_api.core.cloudwatch import tell_regularly
from detect_api.core.config import Settings
from detect_api.core.errors import Unavailable
from detect_api.core.logging import configure_logging
from detect_api.core.worker_health import WorkerHealth
from detect_api.db.schema import await_fit
from detect_api.db.session import make_engine, make_session_factory
from detect_api.jobs import editions, queue
from detect_api.jobs.deliver import Deliverer
from detect_api.jobs.s3_queue import EventQueue
from detect_api.jobs.sweep import INTERVAL_SECONDS, STALLED_SECONDS, sweep
from detect_api.jobs.tasks import make_app, register
from detect_api.jobs.workshop import Workshop
from detect_api.storage import make_store
from detect_api.webhooks.send import Sender

log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS = 2.0
POLL_SECONDS = 2.0
DRAIN_SECONDS = 20.0
SIGN_OF_LIFE_SECONDS = 10.0


def work(settings: Settings) -> int:
    """Works until SIGTERM or SIGINT; returns the exit status.

    On a signal, running segments stop at the next frame and go back to the queue. Raises
    DatabaseVersion for a database that this version cannot work with.
    """
    await_fit(settings.database_url)
    return asyncio.run(_run(settings))


async def _run(settings: Settings) -> int:
    engine = make_engine(settings.database_url, pool_size=4)
    sessions = make_session_factory(engine, webhook_url=settings.webhook_url_for_all)
    shop = Workshop(settings, sessions, make_store(settings))
    health = WorkerHealth(lambda: shop.has_loaded, shop.stop.is_set)
    events = EventQueue.from_settings(settings)
    app = make_app(settings.database_url or "")
    register(app, shop)
    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    broken = False

    def stop() -> None:
        if not shop.stop.is_set():
            _end_for_certain_after(DRAIN_SECONDS + 5.0)
        shop.stop.set()
        ending.set()

    def on_loop_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal broken
        if _was_taken_away(context.get("exception")):
            shop.metrics.taken_away.inc()
            log.warning("task_was_given_to_another")
            return
        broken = True
        log.error("queue_broken", detail=context["message"], exc_info=context.get("exception"))
        stop()

    loop.set_exception_handler(on_loop_error)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    told_to_the_end = _be_seen(settings, shop, health)
    # No daemon: Python would end it within the networks' code, which aborts the process.
    threading.Thread(target=lambda: shop.engine, name="load-models").start()
    async with app.open_async():
        lanes = [
            asyncio.create_task(_lane(app, name, queues)) for name, queues in _lanes(shop.edition)
        ]
        others = [
            asyncio.create_task(_turn(health)),
            asyncio.create_task(_live(shop, health)),
            asyncio.create_task(_sweep_for_ever(shop)),
            asyncio.create_task(Deliverer(sessions, Sender.from_settings(settings)).run()),
        ]
        if events is not None:
            others.append(asyncio.create_task(_take_events(shop, events)))
        waiting = asyncio.create_task(ending.wait())
        log.info("worker_ready")
        done, _ = await asyncio.wait(
            [*lanes, *others, waiting], return_when=asyncio.FIRST_COMPLETED
        )
        if waiting not in done:
            broken = True
            for task in done:
                log.error("worker_failed", exc_info=task.exception())
        stop()
        for task in (*lanes, *others, waiting):
            task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await asyncio.gather(*lanes, *others, waiting, return_exceptions=True)
    told_to_the_end.close()
    engine.dispose()
    return 1 if broken else 0


def _be_seen(settings: Settings, shop: Workshop, health: WorkerHealth) -> contextlib.ExitStack:
    """Starts to tell metrics, health and traces as the settings want; close it in the end."""
    registry = shop.metrics.registry
    told = contextlib.ExitStack()
    if settings.worker_metrics_port:
        worker_port.serve(registry, health, settings.host, settings.worker_metrics_port)
    told.callback(tracing.configure(settings, "worker"))
    if settings.cloudwatch_metrics_seconds:
        told.callback(tell_regularly(registry, "worker", settings.cloudwatch_metrics_seconds))
    return told


def _end_for_certain_after(seconds: float) -> None:
    """Ends the process then, whatever it still waits for.

    A thread that hangs in storage would keep a worker alive that does no work: nobody would start
    a new one. What it had begun goes back to the queue, as after any death.
    """
    timer = threading.Timer(seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()


def _was_taken_away(error: BaseException | None) -> bool:
    """Whether a task could not be ended because a sweep took this worker for dead meanwhile.

    Whoever has the task now ends it; our work on it is void or was written once, as always.
    """
    return isinstance(error, ConnectorException) and isinstance(
        error.__cause__, psycopg.errors.RaiseException
    )


def _lanes(edition: str) -> list[tuple[str, list[str]]]:
    """The lanes' names and queues: work of this edition, and jobs that nobody has begun."""
    return [
        (queue.SEGMENTS, [queue.named(queue.SEGMENTS, edition)]),
        (queue.CONTROL, [queue.CONTROL, queue.named(queue.CONTROL, edition)]),
        (queue.REDACTIONS, [queue.REDACTIONS]),
    ]


async def _lane(app: App, name: str, queues: list[str]) -> None:
    await app.run_worker_async(
        queues=queues,
        name=name,
        concurrency=1,
        fetch_job_polling_interval=POLL_SECONDS,
        abort_job_polling_interval=60,
        shutdown_graceful_timeout=DRAIN_SECONDS,
        update_heartbeat_interval=HEARTBEAT_SECONDS,
        stalled_worker_timeout=STALLED_SECONDS,
        install_signal_handlers=False,
        delete_jobs="always",
    )


async def _turn(health: WorkerHealth) -> None:
    """Shows that the event loop comes round, whatever the database does."""
    while True:
        health.loop_turned()
        await asyncio.sleep(1.0)


async def _live(shop: Workshop, health: WorkerHealth) -> None:
    """Says again and again in the database that a worker of this edition lives."""

    def tell() -> None:
        with shop.sessions.begin() as session:
            editions.seen(session, shop.edition)

    while True:
        await asyncio.to_thread(tell)
        health.database_answered()
        await asyncio.sleep(SIGN_OF_LIFE_SECONDS)


async def _sweep_for_ever(shop: Workshop) -> None:
    while True:
        await asyncio.to_thread(sweep, shop)
        await asyncio.sleep(INTERVAL_SECONDS)


async def _take_events(shop: Workshop, events: EventQueue) -> None:
    await asyncio.to_thread(events.take_for_ever, shop.sessions, shop.store, shop.stop)


def main() -> None:
    """Entry point of the worker process."""
    settings = Settings()
    configure_logging(settings)
    try:
        sys.exit(work(settings))
    except Unavailable as error:
        sys.exit(error.detail)


if __name__ == "__main__":
    main()
