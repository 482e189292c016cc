"""The tasks as the queue knows them, and what happens when one fails.

- The video is at fault: the job fails with the reason. Trying again would not help.
- Something around it is at fault (storage, database, a bug): the task is tried again, later and
  later, a limited number of times; then the job fails, and says so.
- The worker stops: the task goes back to the queue at once.
- The job is gone, cancelled or started anew: the task is void and ends quietly.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import procrastinate
import structlog
from procrastinate import App, BaseRetryStrategy, JobContext, RetryDecision
from procrastinate.jobs import Job as QueuedTask
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from detect_api.core import tracing
from detect_api.core.errors import DetectApiError, ObjectChanged, ObjectMissing, VideoError
from detect_api.core.worker_metrics import Outcome
from detect_api.db.session import KEEPALIVE, SessionFactory
from detect_api.jobs import queue, redaction, states
from detect_api.jobs.merge import merge
from detect_api.jobs.plan import plan
from detect_api.jobs.progress import Interrupted
from detect_api.jobs.segment import segment
from detect_api.jobs.workshop import Workshop, load_job

log = structlog.get_logger(__name__)

MAX_TRIES = 25
"""How often a task is started before its job fails: crashes, kills and outages together."""

CONNECTION_OPTIONS = "-c statement_timeout=30000 -c plan_cache_mode=force_custom_plan"
"""A plan for every queue is a bad one for each: to find that one is empty, PostgreSQL then looks
through all tasks of the others. Measured by ``python -m bench scale``."""

CRASHES = 3
"""How often a decoder may die before its video is to blame: memory of others may have killed it."""

_LONGEST_WAIT_SECONDS = 20.0


class DatabaseClock:
    """The time as the database has it, which decides what is due, as far as was last seen."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)

    def look(self, sessions: SessionFactory) -> None:
        """Sees how far apart the clocks are. Without the database it stays as it was."""
        try:
            with sessions() as session:
                there: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
        except SQLAlchemyError as error:
            log.warning("clock_not_seen", error=type(error).__name__)
            return
        self._ahead = there - datetime.now(UTC)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead


class TryAgain(BaseRetryStrategy):
    """Waits 1, 2, 4 … 20 s (half of it jittered) between tries; not at all after an interrupt."""

    def __init__(self, clock: DatabaseClock) -> None:
        self._clock = clock

    def get_retry_decision(
        self, *, exception: BaseException, job: QueuedTask
    ) -> RetryDecision | None:
        if isinstance(exception, Interrupted):
            return RetryDecision(retry_at=self._clock.now())
        if job.attempts + 1 >= MAX_TRIES:
            return None
        wait = min(_LONGEST_WAIT_SECONDS, 2.0 ** min(job.attempts, 10))
        jittered = timedelta(seconds=wait * random.uniform(0.5, 1.0))  # noqa: S311
        return RetryDecision(retry_at=self._clock.now() + jittered)


def register(app: App, shop: Workshop) -> None:
    """Makes the tasks known to the worker's app."""
    clock = DatabaseClock()
    again = TryAgain(clock)

    @app.task(name=queue.PLAN, queue=queue.CONTROL, pass_context=True, retry=again)
    def _plan(context: JobContext, job_id: str, attempt: int) -> None:
        def begin(shop: Workshop, job: uuid.UUID, attempt: int) -> None:
            assert context.job.id is not None
            plan(shop, job, attempt, context.job.id)

        _run(shop, clock, context, job_id, attempt, begin)

    @app.task(name=queue.SEGMENT, queue=queue.SEGMENTS, pass_context=True, retry=again)
    def _segment(context: JobContext, job_id: str, attempt: int, index: int) -> None:
        def read(shop: Workshop, job: uuid.UUID, attempt: int) -> None:
            segment(shop, job, attempt, index)

        _run(shop, clock, context, job_id, attempt, read)

    @app.task(name=queue.MERGE, queue=queue.CONTROL, pass_context=True, retry=again)
    def _merge(context: JobContext, job_id: str, attempt: int) -> None:
        def begin(shop: Workshop, job: uuid.UUID, attempt: int) -> None:
            assert context.job.id is not None
            with shop.sessions.begin() as session:
                queue.may_wait_again(session, context.job.id)
            merge(shop, job, attempt)

        _run(shop, clock, context, job_id, attempt, begin)

    @app.task(name=queue.REDACT, queue=queue.REDACTIONS, pass_context=True, retry=again)
    def _redact(context: JobContext, job_id: str, export_id: str) -> None:
        with (
            structlog.contextvars.bound_contextvars(job_id=job_id, task=queue.REDACT),
            shop.metrics.task(queue.REDACT) as outcome,
            _seeing(clock, shop),
        ):
            _make_copy(shop, context, uuid.UUID(job_id), uuid.UUID(export_id), outcome)


def _make_copy(
    shop: Workshop,
    context: JobContext,
    job: uuid.UUID,
    export_id: uuid.UUID,
    outcome: Outcome,
) -> None:
    def failed(code: str, detail: str) -> None:
        redaction.fail(shop.sessions, job, export_id, code, detail)
        outcome.word = "failed"

    if context.job.attempts >= MAX_TRIES:
        failed("task_died", "The worker died each time it tried this video.")
        return
    try:
        redaction.redact(shop, job, export_id)
        outcome.word = "done"
    except states.Superseded:
        log.info("task_void")
        outcome.word = "void"
    except (VideoError, ObjectMissing, ObjectChanged) as error:
        log.warning("redaction_failed", code=error.code, detail=error.detail)
        failed(error.code, error.detail)
    except Interrupted:
        outcome.word = "interrupted"
        raise
    except Exception as error:
        if context.job.attempts + 1 >= MAX_TRIES:
            failed(
                "internal_error",
                f"An internal error ended the work ({type(error).__name__}); see the log.",
            )
        raise


@contextmanager
def _seeing(clock: DatabaseClock, shop: Workshop) -> Iterator[None]:
    """Looks at the database's clock when the block fails, before it is said when to try again.

    By a clock that is slow there would be no pauses, and a short outage would use up all tries.
    """
    try:
        yield
    except Exception:
        clock.look(shop.sessions)
        raise


def _run(
    shop: Workshop,
    clock: DatabaseClock,
    context: JobContext,
    job_id: str,
    attempt: int,
    work: Callable[[Workshop, uuid.UUID, int], None],
) -> None:
    name = context.job.task_name
    with (
        structlog.contextvars.bound_contextvars(job_id=job_id, attempt=attempt, task=name),
        _seeing(clock, shop),
        shop.metrics.task(name) as outcome,
        tracing.span(name, _traceparent(shop, job_id), job_id=job_id, attempt=attempt),
    ):
        _work(shop, context, uuid.UUID(job_id), attempt, work, outcome)


def _traceparent(shop: Workshop, job_id: str) -> str | None:
    """Where the job's trace began, if traces are wanted."""
    if not tracing.wanted():
        return None
    job = load_job(shop, uuid.UUID(job_id))
    return job.traceparent if job else None


def _work(
    shop: Workshop,
    context: JobContext,
    job: uuid.UUID,
    attempt: int,
    work: Callable[[Workshop, uuid.UUID, int], None],
    outcome: Outcome,
) -> None:
    if context.job.attempts >= MAX_TRIES:
        # Its process died each time, so that nobody could say why.
        _fail(shop, job, attempt, "task_died", "The worker died each time it tried this video.")
        outcome.word = "failed"
        return
    try:
        _unless_decoders_die(work, shop, job, attempt)
        outcome.word = "done"
    except states.Superseded:
        log.info("task_void")
        outcome.word = "void"
    except (VideoError, ObjectMissing, ObjectChanged) as error:
        log.warning("video_failed", code=error.code, detail=error.detail)
        _fail(shop, job, attempt, error.code, error.detail)
        outcome.word = "failed"
    except Interrupted:
        outcome.word = "interrupted"
        raise
    except Exception as error:
        if context.job.attempts + 1 >= MAX_TRIES:
            outcome.word = "failed"
            if isinstance(error, DetectApiError):
                _fail(shop, job, attempt, error.code, error.detail)
            else:
                detail = f"An internal error ended the work ({type(error).__name__}); see the log."
                _fail(shop, job, attempt, "internal_error", detail)
        raise


def _unless_decoders_die(
    work: Callable[[Workshop, uuid.UUID, int], None], shop: Workshop, job: uuid.UUID, attempt: int
) -> None:
    """Works, again from the start if a decoder died on the way. Raises what the work does."""
    for tried in range(1, CRASHES + 1):
        try:
            work(shop, job, attempt)
        except VideoError as error:
            if error.code != "decoder_crashed" or tried == CRASHES:
                raise
            log.warning("decoder_died", tried=tried)
        else:
            return


def _fail(shop: Workshop, job_id: uuid.UUID, attempt: int, code: str, detail: str) -> None:
    with shop.sessions.begin() as session:
        failed = states.fail(session, job_id, attempt, code=code, detail=detail)
    if failed:
        shop.metrics.job_ended(states.FAILED, code)


def make_app(database_url: str) -> App:
    """The worker's app; open it before use."""
    return procrastinate.App(
        connector=procrastinate.PsycopgConnector(
            conninfo=database_url,
            min_size=2,
            max_size=8,
            timeout=15,
            kwargs={**KEEPALIVE, "options": CONNECTION_OPTIONS},
        )
    )
