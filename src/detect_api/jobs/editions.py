"""Old and new workers beside each other.

Each edition (``vision.edition``) has queues of its own, so that a worker is only given work that it
can go on with. As long as one worker of an edition lives, it finishes what its edition began. A
job whose edition nobody works for any more is begun anew by the workers that there are.
"""

from __future__ import annotations

import structlog
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from detect_api.db.session import SessionFactory
from detect_api.db.tables import Job
from detect_api.jobs import states
from detect_api.jobs.anew import begin_anew

log = structlog.get_logger(__name__)

GONE_SECONDS = 60.0
"""An edition of which no worker was seen for so long has none: longer than a restart takes."""

_LIMIT = 200
_LEASE = "edition:"
"""``leases`` has, under this and an edition's name, until when it counts as worked for."""

_SEEN = text("""
    INSERT INTO leases (name, until) VALUES (:name, now() + make_interval(secs => :seconds))
    ON CONFLICT (name) DO UPDATE SET until = greatest(leases.until, excluded.until)
""")

_DESERTED = text("""
    SELECT id FROM jobs
     WHERE status = 'processing' AND edition IS DISTINCT FROM :mine
       AND updated_at < now() - make_interval(secs => :seconds)
       AND NOT EXISTS (SELECT 1 FROM leases
                        WHERE name = :prefix || jobs.edition AND until > now())
     LIMIT :limit
""")

_FORGET_TASKS = text("""
    DELETE FROM procrastinate_jobs q
     WHERE q.status = 'todo' AND q.args->>'job_id' = :id AND (q.args->>'attempt')::int < :attempt
""")

_VOID_TASKS = text("""
    DELETE FROM procrastinate_jobs q
     WHERE q.status = 'todo' AND q.queue_name LIKE '%:%'
       AND split_part(q.queue_name, ':', 2) <> :mine
       AND NOT EXISTS (SELECT 1 FROM leases
                        WHERE name = :prefix || split_part(q.queue_name, ':', 2) AND until > now())
       AND NOT EXISTS (SELECT 1 FROM jobs
                        WHERE jobs.id = (q.args->>'job_id')::uuid AND status = 'processing'
                          AND attempt = (q.args->>'attempt')::int)
""")

_OLD_LEASES = text("""
    DELETE FROM leases WHERE starts_with(name, :prefix) AND until < now() - interval '1 day'
""")


def require(job: Job, edition: str) -> None:
    """Raises Superseded for a job in work that is not of this edition.

    Versions that know no editions queue their work where everybody looks. Whoever is left of them
    does it, once the sweep has queued it again; if nobody is, the sweep begins the job anew.
    """
    if job.edition != edition:
        raise states.Superseded


def seen(session: Session, edition: str) -> None:
    """Notes that a worker of this edition lives."""
    session.execute(_SEEN, {"name": _LEASE + edition, "seconds": GONE_SECONDS})


def take_over(sessions: SessionFactory, edition: str) -> int:
    """Begins anew what no living worker can go on with; returns how many jobs that were.

    Each at most once for an edition that ends. Tasks of ended jobs that nobody would fetch any
    more go, too: whoever scales by the queue would keep workers for them.
    """
    with sessions() as session:
        deserted = session.scalars(
            _DESERTED,
            {"mine": edition, "seconds": GONE_SECONDS, "prefix": _LEASE, "limit": _LIMIT},
        ).all()
    begun = sum(_take_over_one(sessions, job_id, edition) for job_id in deserted)
    with sessions.begin() as session:
        session.execute(_VOID_TASKS, {"mine": edition, "prefix": _LEASE})
        session.execute(_OLD_LEASES, {"prefix": _LEASE})
    return begun


def _take_over_one(sessions: SessionFactory, job_id: object, edition: str) -> bool:
    with sessions.begin() as session:
        job = session.scalar(
            select(Job).where(Job.id == job_id, Job.status == states.PROCESSING).with_for_update()
        )
        if job is None or job.edition == edition:
            return False
        log.warning("job_begun_anew", job_id=str(job.id), edition=job.edition, by=edition)
        begin_anew(session, job)
        session.execute(_FORGET_TASKS, {"id": str(job.id), "attempt": job.attempt})
        return True
