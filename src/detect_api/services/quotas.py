"""What a key may still create, counted from its jobs in the transaction that creates another one.

Whoever creates something for a key has that key's lock until the transaction ends, so that requests
at the same moment see what the others created. It is the last lock that a transaction waits for:
rows are locked before, so that nobody who has it waits for somebody who wants it.
"""

from __future__ import annotations

import uuid

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session, aliased

from detect_api.core import owner
from detect_api.core.errors import InvalidRequest, TooMany
from detect_api.db.narrow import EVERYBODYS
from detect_api.db.tables import Job
from detect_api.jobs import states

_DAY_SECONDS = 86400
_AT_WORK = (states.AWAITING_UPLOAD, states.UPLOADING, *states.ACTIVE)
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")


def limited() -> bool:
    """Whether the key in use has a quota."""
    who = owner.current()
    return who is not None and who.quota is not None


def take(session: Session, *, jobs: int = 0, at_once: int = 0, size: int = 0) -> None:
    """Lets the key in use have so many more jobs, jobs at once and bytes. Raises TooMany.

    The caller writes them in the same transaction, and waits for no other lock in it.
    """
    who = owner.current()
    if who is None or who.quota is None or who.key_id is None:
        return
    quota = who.quota
    session.flush()
    session.execute(_LOCK, {"name": f"quota {who.key_id}"})
    if jobs or size:
        has_jobs, has_bytes = _of_the_day(session, who.key_id)
        if quota.jobs_per_day is not None and has_jobs + jobs > quota.jobs_per_day:
            raise _used_up(f"{quota.jobs_per_day} jobs a day and has {has_jobs}", 3600)
        # Of what is not known yet it is known that it is more than nothing.
        if quota.bytes_per_day is not None and has_bytes + max(size, jobs) > quota.bytes_per_day:
            raise _used_up(
                f"{quota.bytes_per_day} bytes a day and has {has_bytes}, "
                f"{size or 'some'} more are asked for",
                3600,
            )
    if at_once and quota.jobs_at_once is not None:
        now = _at_work(session, who.key_id)
        if now + at_once > quota.jobs_at_once:
            raise _used_up(f"{quota.jobs_at_once} jobs at once and has {now}", 30)


def take_on(session: Session, job: Job, *, at_once: int = 0, size: int = 0) -> None:
    """Goes on with a (locked) job: as one more at once, or with so many bytes more.

    What another key began counts from now on for the key in use, as a whole. Raises TooMany.
    """
    mine = owner.key_id()
    if mine is None:
        return
    if job.key_id == mine:
        take(session, at_once=at_once, size=size)
    else:
        take(session, jobs=1, at_once=1, size=size or job.file_size or 0)
        job.key_id = mine


def need_size() -> None:
    """Raises InvalidRequest if the key's bytes are counted, so that a size has to be told."""
    who = owner.current()
    if who is not None and who.quota is not None and who.quota.bytes_per_day is not None:
        raise InvalidRequest(
            "The key has a quota of bytes: say in file_size how long the file is.",
            code="file_size_needed",
        )


def _of_the_day(session: Session, key_id: uuid.UUID) -> tuple[int, int]:
    """How many jobs of the last 24 hours the key has, and of how many bytes."""
    upload = aliased(Job)
    # A job that processes what an upload of the same key brought is not counted a second time.
    follows = (
        select(upload.id)
        .where(
            upload.object_key == Job.object_key,
            upload.processing_job_id == Job.id,
            upload.key_id == Job.key_id,
        )
        .exists()
    )
    # Nor is one whose video never came through the API. A form that was given out may be used.
    void = (Job.type != "upload") & Job.object_etag.is_(None) & Job.status.in_(states.FINISHED)
    jobs, size = session.execute(
        select(func.count(), func.coalesce(func.sum(Job.file_size), 0))
        .select_from(Job)
        .where(
            Job.key_id == key_id,
            Job.created_at > func.now() - func.make_interval(0, 0, 0, 0, 0, 0, _DAY_SECONDS),
            ~follows,
            ~void,
        )
        .execution_options(**{EVERYBODYS: True})
    ).one()
    return jobs, int(size or 0)


def _at_work(session: Session, key_id: uuid.UUID) -> int:
    """How many jobs and uploads of the key have not ended."""
    query = select(func.count(Job.id)).where(Job.key_id == key_id, Job.status.in_(_AT_WORK))
    return session.scalar(query.execution_options(**{EVERYBODYS: True})) or 0


def _used_up(what: str, retry_after: int) -> TooMany:
    return TooMany(
        f"The key may have {what}: try again later.", retry_after=retry_after, code="quota_reached"
    )
