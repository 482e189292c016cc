"""Resumable uploads (tus) in the database: who may write, what is safe, how they come to an end.

One request at a time writes to an upload: the one that holds its lease. A lease runs out by itself
when its holder dies or freezes, and a holder that is asked lets go, so that a client whose
connection broke without a word need not wait for the old request to notice. Everything a holder
writes down is written under the condition that it still holds the lease.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from detect_api.core.errors import ObjectMissing, StorageError
from detect_api.db.session import SessionFactory
from detect_api.db.tables import Job, Removal, TusPart, TusUpload
from detect_api.jobs import queue, states
from detect_api.storage.base import ObjectInfo, ObjectStore

LEASE_SECONDS = 10.0


def piece_prefix(object_key: str, job_id: uuid.UUID) -> str:
    """Where the beginnings of an upload's next part lie in storage: beside its object."""
    return f"{object_key.rsplit('/', 1)[0]}/tus/{job_id}/"


def is_free() -> ColumnElement[bool]:
    """The condition that nobody holds an upload."""
    return or_(TusUpload.held_until.is_(None), TusUpload.held_until < func.now())


def _held(job_id: uuid.UUID, holder: uuid.UUID) -> ColumnElement[bool]:
    # A lease that ran out and that nobody took is still good.
    return and_(TusUpload.job_id == job_id, TusUpload.holder == holder)


def take(session: Session, job_id: uuid.UUID, holder: uuid.UUID) -> bool:
    """Takes the lease if nobody has it; otherwise asks whoever does to let go."""
    taken = session.execute(
        update(TusUpload)
        .where(TusUpload.job_id == job_id, is_free(), TusUpload.finished.is_(False))
        .values(holder=holder, held_until=_soon(), asked=False)
        .returning(TusUpload.job_id)
    ).first()
    if taken is None:
        session.execute(update(TusUpload).where(TusUpload.job_id == job_id).values(asked=True))
    return taken is not None


def _soon() -> Any:
    return func.now() + timedelta(seconds=LEASE_SECONDS)


def renew(session: Session, job_id: uuid.UUID, holder: uuid.UUID, **of_job: Any) -> bool:
    """Keeps the lease for longer and writes ``of_job`` to the job; whether another one waits.

    Raises Superseded if the lease is lost or the job is not uploading any more.
    """
    asked = session.execute(
        update(TusUpload)
        .where(_held(job_id, holder))
        .values(held_until=_soon())
        .returning(TusUpload.asked)
    ).first()
    if asked is None:
        raise states.Superseded
    _show(session, job_id, **of_job)
    return bool(asked[0])


def release(session: Session, job_id: uuid.UUID, holder: uuid.UUID, **of_job: Any) -> None:
    """Lets others write, and writes ``of_job`` to a job that is still uploading."""
    freed = session.execute(
        update(TusUpload)
        .where(_held(job_id, holder))
        .values(holder=None, held_until=None, asked=False)
        .returning(TusUpload.job_id)
    ).first()
    if freed is not None and of_job:
        try:
            _show(session, job_id, **of_job)
        except states.Superseded:
            return


def _show(session: Session, job_id: uuid.UUID, **of_job: Any) -> None:
    changed = session.execute(
        update(Job)
        .where(Job.id == job_id, Job.status == states.UPLOADING)
        .values(updated_at=func.now(), **of_job)
        .returning(Job.id)
    ).first()
    if changed is None:
        raise states.Superseded
    queue.notify(session, job_id)


def record(
    session: Session,
    job_id: uuid.UUID,
    holder: uuid.UUID,
    *,
    parts: Sequence[tuple[int, str]] = (),
    **values: Any,
) -> None:
    """Writes down what is safe in storage. Raises Superseded if the lease is lost."""
    changed = session.execute(
        update(TusUpload).where(_held(job_id, holder)).values(**values).returning(TusUpload.job_id)
    ).first()
    if changed is None:
        raise states.Superseded
    for number, name in parts:
        adding = insert(TusPart).values(job_id=job_id, number=number, name=name)
        session.execute(
            adding.on_conflict_do_update(index_elements=["job_id", "number"], set_={"name": name})
        )


def part_names(session: Session, job_id: uuid.UUID) -> list[str]:
    """The parts that the store has, in order."""
    return list(
        session.scalars(
            select(TusPart.name).where(TusPart.job_id == job_id).order_by(TusPart.number)
        )
    )


def lose(session: Session, job_id: uuid.UUID) -> None:
    """Fails the job of an upload whose bytes are gone from storage."""
    states.fail(
        session,
        job_id,
        1,
        code="upload_broken",
        detail="What had arrived is gone from storage. Upload the file again.",
        from_states=(states.UPLOADING,),
    )


def finish(sessions: SessionFactory, store: ObjectStore, job_id: uuid.UUID) -> None:
    """Makes the object of an upload whose last byte is safe, and queues its processing.

    The job becomes ``pending`` and its queue entry appears in one transaction, once, however
    often this is called and by however many. Raises StorageError, and Superseded if the job is
    not uploading any more.
    """
    with sessions() as session:
        upload, job = session.get(TusUpload, job_id), session.get(Job, job_id)
        names = part_names(session, job_id)
    if upload is None or job is None:
        raise states.Superseded
    if upload.finished:
        return
    try:
        found = _complete(store, upload, job, names)
    except ObjectMissing:
        with sessions.begin() as session:
            lose(session, job_id)
        raise states.Superseded from None
    with sessions.begin() as session:
        row = session.get(TusUpload, job_id, with_for_update=True)
        if row is None:
            raise states.Superseded
        if row.finished:
            return
        pending = states.locked(session, job_id, job.attempt, (states.UPLOADING,))
        row.finished = True
        pending.status = states.PENDING
        pending.progress = 0.0
        pending.message = "Waiting for a worker."
        pending.file_size = found.size
        pending.object_etag = found.etag
        pending.upload = None
        pending.updated_at = func.now()
        session.execute(delete(TusPart).where(TusPart.job_id == job_id))
        prefix = piece_prefix(row.object_key, job_id)
        session.add(Removal(prefix=prefix, keep_until=func.now()))
        session.flush()
        queue.defer_plan(session, job_id, pending.attempt)
        queue.notify(session, job_id)


def _complete(store: ObjectStore, upload: TusUpload, job: Job, names: Sequence[str]) -> ObjectInfo:
    """The object, whole. Raises StorageError, and ObjectMissing if its parts are gone."""
    assert upload.length is not None
    found: ObjectInfo | None
    try:
        found = store.resume(
            upload.object_key,
            job.content_type or "",
            upload.object_metadata,
            upload.multipart_id or "",
            parts=names,
            size=upload.length,
        ).complete()
    except (StorageError, ObjectMissing):
        # A process that died since, or whose answer was lost, may have completed it.
        try:
            found = store.head(upload.object_key)
        except ObjectMissing:
            found = None
        if found is None or found.metadata.get("job-id") != str(upload.job_id):
            raise
    if found.size != upload.length:
        raise StorageError(
            f"Storage holds {found.size} bytes of an upload of {upload.length}: upload it again."
        )
    return found
