"""Forgetting a plate: a person's wish that the service no longer knows it.

A wish is one tenant's, and about that tenant's jobs.

Steps are limited and write down what they did with the receipt, so that a wish goes on after
any death. It ends when a step finds nothing more and every job that was in work when the wish came
has ended: such a job may be about to write the text. What is read from a video that is sent in
later is not forgotten beforehand; that would need the text to be kept.

A text may be kept in several ways: plain, and hashed by each key that is known. What is hashed by a
key that is not known cannot be looked into; the receipt says how many plates these are.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.orm import Session

from detect_api.core import owner, plate_text
from detect_api.db.session import SessionFactory
from detect_api.db.tables import Event, Job, Plate, Receipt, Removal, Segment
from detect_api.jobs import queue, receipts, states

log = structlog.get_logger(__name__)

PLATES_A_STEP = 200
MOST_VIDEOS = 1000
"""So many jobs, whose videos still show the plate, a receipt names at most."""

MOST_KEYS = 100
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
       AND (plates.text = ANY(:ways) OR read_text = ANY(:ways)
            OR EXISTS (SELECT FROM jsonb_array_elements(details -> 'candidates') c
                        WHERE c ->> 'text' = ANY(:ways)))
     ORDER BY plates.id LIMIT :limit
""")

_STRIP = text("""
    UPDATE events
       SET data = jsonb_set(data, '{candidates}', coalesce(
               (SELECT jsonb_agg(c) FROM jsonb_array_elements(data -> 'candidates') c
                 WHERE c ->> 'text' <> ALL(:ways)), '[]'))
     WHERE job_id = :job AND type = 'plate'
       AND EXISTS (SELECT FROM jsonb_array_elements(data -> 'candidates') c
                    WHERE c ->> 'text' = ANY(:ways))
""")

_UNSENT = text("""
    UPDATE webhook_deliveries SET body = regexp_replace(body, :pattern, :instead, 'g')
     WHERE body ~ :pattern
       AND job_id IN (SELECT id FROM jobs WHERE tenant = :tenant)
""")

_OUT_OF_REACH = text("""
    SELECT count(DISTINCT id) AS plates, array_agg(DISTINCT key) AS keys FROM (
        SELECT plates.id,
               CASE WHEN length(words) <= :longest_plain THEN 'none'
                    WHEN length(words) = :longest THEN left(words, 8)
                    ELSE 'unknown' END AS key
          FROM plates JOIN jobs ON jobs.id = job_id
         CROSS JOIN LATERAL (VALUES (plates.text), (read_text)) AS kept (words)
         WHERE tenant = :tenant AND (length(words) > :longest_plain OR NOT :plain)
    ) AS found WHERE key <> ALL(:known)
""")
"""A text that was hashed before keys had ids may be by any key: it counts as out of reach."""


def begin(session: Session, ways: list[str], shown: dict[str, Any]) -> Receipt:
    """Writes the wish down: ``ways`` is all that may be kept of the text, plain first, and
    ``shown`` is told of it."""
    return receipts.open_receipt(
        session, receipts.FORGET, shown, {}, wanted=" ".join(ways), tenant=owner.tenant()
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
            if not _step(session, receipt, receipt.wanted.split()):
                _name_what_is_out_of_reach(session, receipt, receipt.wanted.split())
                if not _may_come_yet(session, receipt):
                    receipt.wanted = None
                    log.info("plate_forgotten", receipt_id=str(receipt_id))
                return


def _step(session: Session, receipt: Receipt, ways: list[str]) -> bool:
    """Takes the text out of some plates; False if there was none left."""
    whose = {"ways": ways, "tenant": receipt.tenant}
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
        if row.text in ways or row.read_text in ways:
            counted["plates"] += 1
            counted["events"] += _delete_plate(session, receipt, row)
        else:
            counted["candidates"] += 1
            left = [c for c in row.details["candidates"] if c["text"] not in ways]
            row.details = {**row.details, "candidates": left}
    for job_id in jobs:
        session.execute(_STRIP, {"job": job_id, "ways": ways})
        session.execute(
            update(Segment)
            .where(
                Segment.job_id == job_id,
                select(Job.id).where(Job.id == job_id, Job.status.in_(states.FINISHED)).exists(),
            )
            .values(result=None)
        )
        queue.notify(session, job_id)
    sent = session.connection().execute(_UNSENT, {"tenant": receipt.tenant, **_in_json(ways[0])})
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


def _name_what_is_out_of_reach(session: Session, receipt: Receipt, ways: list[str]) -> None:
    """Says how many plates may be this one, and are kept in a way that cannot be compared."""
    # By a hash that is asked for, only what is hashed by the same key is found.
    plain = not plate_text.HASH.fullmatch(ways[0])
    found = session.execute(
        _OUT_OF_REACH,
        {
            "tenant": receipt.tenant,
            "plain": plain,
            "known": [known for known in map(plate_text.id_in, ways) if known],
            "longest_plain": plate_text.LONGEST_PLAIN,
            "longest": plate_text.LONGEST,
        },
    ).one()
    receipt.subject = {
        **receipt.subject,
        "plates_out_of_reach": found.plates,
        "keys_of_these": sorted(found.keys or [])[:MOST_KEYS],
    }


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
