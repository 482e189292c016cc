"""Forgetting a plate: a person's wish that the service no longer knows it.

A wish is one tenant's, and about that tenant's jobs.

Steps are limited and write down what they did with the receipt, so that a wish goes on after
any death. It ends when a step finds nothing more and every job that was in work when the wish came
has ended: such a job may be about to write the text. What is read from a video that is sent in
later is not forgotten beforehand; that would need the text to be kept.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.orm import Session

from detect_api.core import owner
from detect_api.db.session import SessionFactory
from detect_api.db.tables import Event, Job, Plate, Receipt, Removal, Segment
from detect_api.jobs import queue, receipts, states

log = structlog.get_logger(__name__)

PLATES_A_STEP = 200
MOST_VIDEOS = 1000
"""So many jobs, whose videos still show the plate, a receipt names at most."""

_LATE_WRITERS = timedelta(minutes=10)
_STEPS_A_ROUND = 10
_RECEIPTS_A_ROUND = 20

_EVERY = timedelta(seconds=20)
_DUE = text(
    "INSERT INTO leases (name, until) VALUES ('forgetting', now() + :every) "
    "ON CONFLICT (name) DO UPDATE SET until = excluded.until "
    "WHERE leases.until < now() RETURNING name"
)

_PATIENCE = text("SET LOCAL statement_timeout = '600s'")
"""No index helps to find a text among the candidates."""

_HITS = text("""
    SELECT plates.id, job_id FROM plates JOIN jobs ON jobs.id = job_id
     WHERE tenant = :tenant
       AND (plates.text = :text OR read_text = :text
            OR details -> 'candidates'
               @> jsonb_build_array(jsonb_build_object('text', :text ::text)))
     ORDER BY plates.id LIMIT :limit
""")

_STRIP = text("""
    UPDATE events
       SET data = jsonb_set(data, '{candidates}', coalesce(
               (SELECT jsonb_agg(c) FROM jsonb_array_elements(data -> 'candidates') c
                 WHERE c ->> 'text' <> :text), '[]'))
     WHERE job_id = :job AND type = 'plate'
       AND data -> 'candidates' @> jsonb_build_array(jsonb_build_object('text', :text ::text))
""")

_UNSENT = text("""
    UPDATE webhook_deliveries SET body = regexp_replace(body, :pattern, :instead, 'g')
     WHERE body ~ :pattern
       AND job_id IN (SELECT id FROM jobs WHERE tenant = :tenant)
""")


def begin(session: Session, wanted: str, shown: dict[str, Any]) -> Receipt:
    """Writes the wish down: ``wanted`` is what is kept of the text, ``shown`` is told of it."""
    return receipts.open_receipt(
        session, receipts.FORGET, shown, {}, wanted=wanted, tenant=owner.tenant()
    )


def go_on(sessions: SessionFactory) -> None:
    """Does some steps of every wish that is open, now and then: a step looks at all plates."""
    with sessions.begin() as session:
        waiting = session.scalars(
            select(Receipt.id)
            .where(Receipt.wanted.is_not(None), Receipt.finished_at.is_(None))
            .order_by(Receipt.created_at)
            .limit(_RECEIPTS_A_ROUND)
        ).all()
        if not waiting or session.execute(_DUE, {"every": _EVERY}).first() is None:
            return
    for receipt_id in waiting:
        go_on_with(sessions, receipt_id)


def go_on_with(sessions: SessionFactory, receipt_id: uuid.UUID) -> None:
    """Does some steps of one wish."""
    for _ in range(_STEPS_A_ROUND):
        with sessions.begin() as session:
            session.execute(_PATIENCE)
            receipt = session.get(
                Receipt, receipt_id, with_for_update={"skip_locked": True}, populate_existing=True
            )
            if receipt is None or receipt.wanted is None:
                return
            if not _step(session, receipt, receipt.wanted):
                if not _may_come_yet(session, receipt):
                    receipt.wanted = None
                    log.info("plate_forgotten", receipt_id=str(receipt_id))
                return


def _step(session: Session, receipt: Receipt, wanted: str) -> bool:
    """Takes the text out of some plates; False if there was none left."""
    whose = {"text": wanted, "tenant": receipt.tenant}
    hits = session.execute(_HITS, {**whose, "limit": PLATES_A_STEP}).all()
    jobs: set[uuid.UUID] = {hit.job_id for hit in hits}
    # A job before its plates, as all others do.
    session.execute(
        select(Job.id).where(Job.id.in_(jobs)).order_by(Job.id).with_for_update(key_share=True)
    )
    rows = session.scalars(
        select(Plate)
        .where(Plate.id.in_([hit.id for hit in hits]))
        .order_by(Plate.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    counted = {"plates": 0, "candidates": 0, "events": 0, "webhook_deliveries": 0}
    for row in rows:
        if wanted in (row.text, row.read_text):
            counted["plates"] += 1
            counted["events"] += _delete_plate(session, receipt, row)
        else:
            counted["candidates"] += 1
            left = [c for c in row.details["candidates"] if c["text"] != wanted]
            row.details = {**row.details, "candidates": left}
    for job_id in jobs:
        session.execute(_STRIP, {"job": job_id, "text": wanted})
        session.execute(
            update(Segment)
            .where(
                Segment.job_id == job_id,
                select(Job.id).where(Job.id == job_id, Job.status.in_(states.FINISHED)).exists(),
            )
            .values(result=None)
        )
        queue.notify(session, job_id)
    sent = session.connection().execute(_UNSENT, {**whose, **_in_json(wanted)})
    counted["webhook_deliveries"] = sent.rowcount
    receipts.add_rows(receipt, counted)
    _name_videos(session, receipt, jobs)
    session.flush()
    return len(hits) == PLATES_A_STEP


def _in_json(wanted: str) -> dict[str, str]:
    """Where the text stands in a body. One of digits alone only where it is a whole string, since
    the numbers of the JSON look like it."""
    if wanted.isdigit():
        return {"pattern": f'"{wanted}"', "instead": '""'}
    return {"pattern": rf"\m{wanted}\M", "instead": ""}


def _delete_plate(session: Session, receipt: Receipt, row: Plate) -> int:
    """Deletes a plate with its events, and its pictures later; returns how many events."""
    for key in (row.crop_key, row.frame_key):
        if key:
            session.add(
                Removal(prefix=key, receipt_id=receipt.id, keep_until=func.now() + _LATE_WRITERS)
            )
    events = session.scalars(
        delete(Event)
        .where(
            Event.job_id == row.job_id,
            Event.type == "plate",
            Event.data["plate_id"].astext == str(row.id),
        )
        .returning(Event.id)
    ).all()
    session.execute(
        update(Job)
        .where(Job.id == row.job_id)
        .values(plates_found=func.greatest(Job.plates_found - 1, 0))
    )
    session.delete(row)
    session.flush()
    return len(events)


def _name_videos(session: Session, receipt: Receipt, jobs: set[uuid.UUID]) -> None:
    """Says which videos still show the plate: their pixels are not ours to change."""
    there = session.scalars(
        select(Job.id).where(
            Job.id.in_(jobs), Job.object_key.is_not(None), Job.video_deleted_at.is_(None)
        )
    )
    known = receipt.subject.get("videos_that_show_it", [])
    named = sorted({*known, *(str(job_id) for job_id in there)})[:MOST_VIDEOS]
    receipt.subject = {**receipt.subject, "videos_that_show_it": named}


def _may_come_yet(session: Session, receipt: Receipt) -> bool:
    return (
        session.scalar(
            select(Job.id)
            .where(
                Job.tenant == receipt.tenant,
                Job.status.in_(states.ACTIVE),
                Job.created_at <= receipt.created_at,
            )
            .limit(1)
        )
        is not None
    )
