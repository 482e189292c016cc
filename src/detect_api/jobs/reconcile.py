"""Finding uploads that have arrived although nobody said so.

The client of an upload with ``auto_process`` need not call back, and events get lost. So storage
is asked for each, soon after the upload was announced and then less and less often. How many are
asked for at once is bounded, and those that are later than their share come first.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from sqlalchemy import select, text

from detect_api.core.errors import StorageError
from detect_api.db.session import SessionFactory
from detect_api.db.tables import Job
from detect_api.jobs.arrivals import look_for_upload
from detect_api.jobs.rounds import in_time
from detect_api.storage.base import ObjectStore

log = structlog.get_logger(__name__)

FIRST_PAUSE_SECONDS = 3.0
GROWTH = 0.5
"""The next look comes after this share of the time that the upload has taken until the last one."""

LONGEST_PAUSE_SECONDS = 60.0
LONGEST_PAUSE_WHEN_EXPIRED_SECONDS = 600.0
LATE_HOURS = 24
"""An object may come so long after its form has expired: it was on the way already."""

LOOKS_A_ROUND = 50

_DUE = text("""
    SELECT jobs.*
      FROM (SELECT id,
                   extract(epoch FROM now() - last) AS waited,
                   least(CASE status WHEN 'expired' THEN :longest_when_expired ELSE :longest END,
                         greatest(:first, :growth * extract(epoch FROM last - created_at)))
                       AS pause
              FROM (SELECT id, status, created_at, coalesce(checked_at, created_at) AS last
                      FROM jobs
                     WHERE type = 'upload' AND auto_process
                       AND (status = 'awaiting_upload'
                            -- updated_at is when it expired; the index finds the last day's
                            OR status = 'expired'
                               AND updated_at > now() - make_interval(hours => :late_hours))
                   ) AS awaited
           ) AS looks
      JOIN jobs USING (id)
     WHERE waited >= pause
     ORDER BY waited / pause DESC
     LIMIT :number
""")


def reconcile(sessions: SessionFactory, store: ObjectStore, limit: int) -> int:
    """Looks for the awaited uploads whose turn it is; returns how many were there.

    ``limit`` is the largest file that a form takes. Storage that does not answer ends the round;
    the next one goes on.
    """
    found = 0
    for job in in_time(_due(sessions)):
        try:
            found += look_for_upload(sessions, store, job, limit)
        except StorageError as error:
            log.warning("arrivals_not_checked", detail=error.detail)
            break
    return found


def _due(sessions: SessionFactory) -> Sequence[Job]:
    """Uploads whose next look is due, the most overdue for its pause first."""
    values = {
        "first": FIRST_PAUSE_SECONDS,
        "growth": GROWTH,
        "longest": LONGEST_PAUSE_SECONDS,
        "longest_when_expired": LONGEST_PAUSE_WHEN_EXPIRED_SECONDS,
        "late_hours": LATE_HOURS,
        "number": LOOKS_A_ROUND,
    }
    with sessions() as session:
        return session.scalars(select(Job).from_statement(_DUE), values).all()
