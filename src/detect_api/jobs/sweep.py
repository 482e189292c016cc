"""What nobody else brings to an end: lost tasks, broken uploads, expired URLs, left-over objects.

Every worker sweeps every few seconds; a lease lets one of them do it at a time, and runs out
should that one freeze. Each step finds its work by a query, so that a sweep that dies is simply
done again, and two at once do no harm. Every deadline is compared by the database's clock: that of
a worker's machine may be wrong.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

import psycopg
import structlog
from sqlalchemy import Select, delete, func, or_, select, text, tuple_, update
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.orm import Session

from detect_api.core.config import Settings
from detect_api.core.errors import StorageError
from detect_api.core.worker_metrics import WorkerMetrics
from detect_api.db.session import SessionFactory
from detect_api.db.tables import (
    ApiKey,
    AuditEntry,
    IdempotencyKey,
    Job,
    Lease,
    Removal,
    TusUpload,
)
from detect_api.jobs import (
    editions,
    forgetting,
    multipart,
    outbox,
    queue,
    receipts,
    redaction,
    retention,
    states,
)
from detect_api.jobs.arrivals import look_for_upload
from detect_api.jobs.merge import remove_if_asked
from detect_api.jobs.reconcile import reconcile
from detect_api.jobs.resumable_sweep import sweep_resumable
from detect_api.jobs.rounds import in_time
from detect_api.jobs.workshop import Workshop
from detect_api.storage.base import ObjectStore

log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 2.0
STALLED_SECONDS = 8.0
"""A worker whose heartbeat is older is taken for dead and its tasks are given to others."""

UPLOAD_SILENCE_SECONDS = 30.0
"""An upload through the API whose row was not touched for so long has lost its API process."""

LEASE_SECONDS = 10.0
IDEMPOTENCY_HOURS = 24
FORGET_AT_ONCE = 5000
_LEASE = "sweep"
_LIMIT = 200

_STALLED = text("""
    SELECT job.id
      FROM procrastinate_jobs job
      LEFT JOIN procrastinate_workers worker ON worker.id = job.worker_id
     WHERE job.status = 'doing'
       AND (worker.id IS NULL OR worker.last_heartbeat < now() - make_interval(secs => :seconds))
""")

_REQUEUE = text("SELECT procrastinate_retry_job_v2(:id, now(), NULL, NULL, NULL)")

_GIVE_UP = text("SELECT procrastinate_finish_job_v1(:id, 'failed', true)")

_LATEST_RETRY_SECONDS = 30
"""No task waits longer between tries; one that would was put off by a clock that is fast."""

_PUT_OFF = text("""
    UPDATE procrastinate_jobs SET scheduled_at = now()
     WHERE status = 'todo' AND scheduled_at > now() + make_interval(secs => :seconds)
""")

_LOST_PLANS = text("""
    SELECT id, attempt, type, edition FROM jobs
     WHERE status IN ('pending', 'processing') AND updated_at < now() - interval '10 seconds'
       AND (planned_segments IS NULL OR input_sha256 IS NULL)
       AND NOT EXISTS (SELECT 1 FROM procrastinate_jobs q
                        WHERE q.lock = 'plan:' || jobs.id AND q.status IN ('todo', 'doing'))
     LIMIT :limit
""")

_LOST_SEGMENTS = text("""
    SELECT jobs.id, jobs.attempt, jobs.type, jobs.edition, segments.index AS segment
      FROM jobs JOIN segments ON segments.job_id = jobs.id
     WHERE jobs.status = 'processing' AND jobs.updated_at < now() - interval '10 seconds'
       AND segments.result IS NULL
       AND NOT EXISTS (SELECT 1 FROM procrastinate_jobs q
                        WHERE q.lock = 'segment:' || jobs.id || ':' || segments.index
                          AND q.status IN ('todo', 'doing'))
     LIMIT :limit
""")

_LOST_MERGES = text("""
    SELECT id, attempt, type, edition FROM jobs
     WHERE status = 'processing' AND updated_at < now() - interval '10 seconds'
       AND (merged_segments = planned_segments
            OR EXISTS (SELECT 1 FROM segments WHERE segments.job_id = jobs.id
                        AND segments.index = jobs.merged_segments
                        AND segments.result IS NOT NULL))
       AND NOT EXISTS (SELECT 1 FROM procrastinate_jobs q
                        WHERE q.lock = 'merge:' || jobs.id AND q.status IN ('todo', 'doing'))
     LIMIT :limit
""")


def sweep(shop: Workshop) -> bool:
    """One round; False if another worker is at it.

    Storage that cannot be reached only postpones what needs it.
    """
    lease = take_lease(shop.sessions)
    if lease is None:
        return False
    _requeue(shop.sessions, shop.metrics)
    shop.metrics.swept.labels("job of a gone version").inc(
        editions.take_over(shop.sessions, shop.edition)
    )
    _end_broken_uploads(shop.sessions, shop.store)
    sweep_resumable(shop.sessions, shop.store)
    limit = shop.settings.max_file_size
    reconcile(shop.sessions, shop.store, limit)
    _expire(shop.sessions, shop.store, limit)
    multipart.abort_ended(shop.sessions, shop.store)
    multipart.abort_orphans(shop.sessions, shop.store, shop.settings)
    retention.sweep_retention(shop.sessions, shop.settings)
    forgetting.go_on(shop.sessions)
    redaction.requeue_lost(shop.sessions)
    _remove(shop)
    receipts.finish_receipts(shop.sessions, shop.settings)
    _forget(shop.sessions, shop.settings)
    give_lease_back(shop.sessions, lease)
    return True


def take_lease(sessions: SessionFactory) -> datetime | None:
    """The lease to sweep, known by when it runs out; None while another worker has it."""
    with sessions.begin() as session:
        taken: datetime | None = session.scalar(
            text(
                "INSERT INTO leases (name, until) VALUES (:name, now() + :time) "
                "ON CONFLICT (name) DO UPDATE SET until = excluded.until "
                "WHERE leases.until < now() RETURNING until"
            ),
            {"name": _LEASE, "time": timedelta(seconds=LEASE_SECONDS)},
        )
    return taken


def give_lease_back(sessions: SessionFactory, lease: datetime) -> None:
    """Lets others sweep; changes nothing if the lease ran out and is another one's by now."""
    with sessions.begin() as session:
        session.execute(delete(Lease).where(Lease.name == _LEASE, Lease.until == lease))


def _requeue(sessions: SessionFactory, metrics: WorkerMetrics) -> None:
    """Gives tasks of dead workers to others, and queues again what no queue entry stands for."""
    with sessions.begin() as session:
        for queue_id in session.scalars(_STALLED, {"seconds": STALLED_SECONDS}).all():
            try:
                with session.begin_nested():
                    _give_to_another(session, queue_id)
            except ProgrammingError as error:
                if not isinstance(error.orig, psycopg.errors.RaiseException):
                    raise
                continue  # its worker was not dead after all and has just ended the task
            metrics.swept.labels("dead worker's task").inc()
            log.warning("task_requeued", queue_id=queue_id)
    with sessions.begin() as session:
        session.execute(_PUT_OFF, {"seconds": _LATEST_RETRY_SECONDS})
        limit = {"limit": _LIMIT}
        for row in session.execute(_LOST_PLANS, limit).all():
            metrics.swept.labels("lost task").inc()
            log.warning("plan_was_lost", job_id=str(row.id))
            image = row.type == "image"
            queue.defer_plan(session, row.id, row.attempt, image=image, edition=row.edition)
        for row in session.execute(_LOST_SEGMENTS, limit).all():
            metrics.swept.labels("lost task").inc()
            log.warning("segment_was_lost", job_id=str(row.id), segment=row.segment)
            image = row.type == "image"
            queue.defer_segment(
                session, row.id, row.attempt, row.segment, image=image, edition=row.edition
            )
        for row in session.execute(_LOST_MERGES, limit).all():
            metrics.swept.labels("lost task").inc()
            log.warning("merge_was_lost", job_id=str(row.id))
            image = row.type == "image"
            queue.defer_merge(session, row.id, row.attempt, image=image, edition=row.edition)


def _give_to_another(session: Session, queue_id: int) -> None:
    """Queue a dead worker's task again, or end it if the same work waits already.

    What waits has the same lock: it could not start before this task ends.
    """
    try:
        with session.begin_nested():
            session.execute(_REQUEUE, {"id": queue_id})
    except IntegrityError as error:
        if not isinstance(error.orig, psycopg.errors.UniqueViolation):
            raise
        session.execute(_GIVE_UP, {"id": queue_id})


def _end_broken_uploads(sessions: SessionFactory, store: ObjectStore) -> None:
    """Fails uploads whose API process died, and drops the parts they left."""
    silent = func.now() - timedelta(seconds=UPLOAD_SILENCE_SECONDS)
    with sessions() as session:
        broken = session.scalars(
            select(Job)
            .where(
                Job.status == states.UPLOADING,
                Job.updated_at < silent,
                # What can be resumed may be silent for much longer.
                ~select(TusUpload.job_id).where(TusUpload.job_id == Job.id).exists(),
            )
            .limit(_LIMIT)
        ).all()
    for job in in_time(broken):
        if job.multipart_id and job.object_key:
            try:
                store.abort(job.object_key, job.multipart_id)
                # It may have been completed in its process's last moment.
                store.delete(job.object_key)
            except StorageError as error:
                log.warning("abort_postponed", job_id=str(job.id), detail=error.detail)
                continue
        with sessions.begin() as session:
            states.fail(
                session,
                job.id,
                job.attempt,
                code="upload_broken",
                detail="The upload broke off: the service was restarted meanwhile. Upload again.",
                from_states=(states.UPLOADING,),
            )


def _expire(sessions: SessionFactory, store: ObjectStore, limit: int) -> None:
    """Ends uploads to S3 whose time is over, unless the object came after all.

    Signing parts moves an upload's time on: it is looked at again in the statement that ends it.
    """
    before = func.now() - timedelta(seconds=60)
    with sessions() as session:
        late = session.scalars(
            select(Job)
            .where(Job.status == states.AWAITING_UPLOAD, Job.expires_at < before)
            .limit(_LIMIT)
        ).all()
    for job in in_time(late):
        try:
            look_for_upload(sessions, store, job, limit)
        except StorageError as error:
            log.warning("expiry_postponed", job_id=str(job.id), detail=error.detail)
            continue
        message = "The pre-signed URL expired before a file was uploaded."
        if multipart.in_parts(job):
            message = "The upload was given up: no part was asked for in a long time."
        with sessions.begin() as session:
            multipart.expire(session, job.id, message, before=before)


def videos_to_go() -> Select[uuid.UUID]:
    """Completed jobs whose videos should have gone, and were not looked at just now."""
    return select(Job.id).where(
        Job.status == states.COMPLETED,
        Job.video_deleted_at.is_(None),
        Job.parameters["delete_after_processing"].astext == "true",
        or_(Job.checked_at.is_(None), Job.checked_at < func.now() - timedelta(seconds=30)),
    )


def _remove(shop: Workshop) -> None:
    """Removes objects whose rows are gone, and videos that were to go after processing."""
    with shop.sessions() as session:
        removals: Sequence[Removal] = session.scalars(receipts.due_removals().limit(_LIMIT)).all()
        leftover = session.scalars(videos_to_go().limit(_LIMIT)).all()
    try:
        for removal in in_time(removals):
            _carry_out(shop, removal)
        for job_id in in_time(leftover):
            remove_if_asked(shop, job_id)
            with shop.sessions.begin() as session:
                session.execute(update(Job).where(Job.id == job_id).values(checked_at=func.now()))
    except StorageError as error:
        log.warning("removal_postponed", detail=error.detail)


def _carry_out(shop: Workshop, removal: Removal) -> None:
    """Does a removal. Raises StorageError, unless it is about this one alone."""
    try:
        receipts.carry_out(shop.sessions, shop.store, removal)
    except StorageError as error:
        receipts.postpone(shop.sessions, removal)
        if error.code != "storage_denied":
            raise
        log.warning("removal_denied", prefix=removal.prefix, detail=error.detail)


def _forget(sessions: SessionFactory, settings: Settings) -> None:
    """Deletes what was to be kept for a time, a limited number of each at a time."""
    with sessions.begin() as session:
        key = tuple_(IdempotencyKey.route, IdempotencyKey.key)
        used = select(IdempotencyKey.route, IdempotencyKey.key).where(
            IdempotencyKey.created_at < func.now() - timedelta(hours=IDEMPOTENCY_HOURS)
        )
        session.execute(
            delete(IdempotencyKey)
            .where(key.in_(used.limit(FORGET_AT_ONCE)))
            .execution_options(synchronize_session=False)
        )
        outbox.forget(session, settings.webhook_retention_days)
        days = settings.audit_retention_days
        noted = select(AuditEntry.id).where(
            AuditEntry.at < func.now() - func.make_interval(0, 0, 0, days)
        )
        session.execute(
            delete(AuditEntry)
            .where(AuditEntry.id.in_(noted.limit(FORGET_AT_ONCE)))
            .execution_options(synchronize_session=False)
        )
        ended = func.now() - func.make_interval(0, 0, 0, 1)
        # Keys stay, so that the audit log can name them; sessions and tokens go.
        session.execute(
            delete(ApiKey)
            .where(
                ApiKey.parent_id.is_not(None),
                or_(ApiKey.expires_at < ended, ApiKey.revoked_at < ended),
            )
            .execution_options(synchronize_session=False)
        )
