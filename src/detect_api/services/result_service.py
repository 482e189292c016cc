"""Results: a job's plates as a whole, in pages and as files; search over all jobs; corrections."""

from __future__ import annotations

import csv
import io
import json
import re
import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from pydantic import SecretStr
from sqlalchemy import ColumnElement, and_, func, or_, select, text, tuple_
from sqlalchemy.orm import Session

from detect_api.core import plate_text
from detect_api.core.errors import Conflict, Gone, InvalidRequest, NotFound
from detect_api.db.session import SessionFactory
from detect_api.db.tables import Job, Plate, UnreadTrack
from detect_api.jobs import states
from detect_api.jobs.views import has_result, plate_view, result_view
from detect_api.services import job_service
from detect_api.services.paging import Page, decode_cursor, encode_cursor

MAX_FUZZY = 2

CSV_COLUMNS = (
    "plate_id", "text", "confidence", "first_frame", "first_seconds", "last_frame",
    "last_seconds", "observations", "best_frame", "best_seconds", "x1", "y1", "x2", "y2",
    "candidates", "crop_url", "frame_url",
)  # fmt: skip


def processed_job(session: Session, job_id: uuid.UUID) -> Job:
    """The job that holds the results asked for: itself, or the one that processed the upload."""
    job = job_service.get(session, job_id)
    return job_service.processing_of(session, job) or job


def result(session: Session, job_id: uuid.UUID) -> dict[str, Any]:
    """The job's result. Raises NotFound, and Conflict, with the state, while there is none."""
    job = processed_job(session, job_id)
    if not has_result(job):
        if job.status == states.FAILED:
            raise Conflict(
                f"The job failed and has no result: {job.error_detail}", code="job_failed"
            )
        raise Conflict(
            f"The job has no result yet: it is {job.status}, {job.progress:.0%} done. "
            "Follow it with GET /jobs/{job_id}.".replace("{job_id}", str(job_id)),
            code="not_finished",
        )
    refuse_deleted(job)
    plates = session.scalars(
        select(Plate).where(Plate.job_id == job.id).order_by(Plate.first_frame, Plate.track_id)
    ).all()
    unread = session.scalars(
        select(UnreadTrack).where(UnreadTrack.job_id == job.id).order_by(UnreadTrack.track_id)
    ).all()
    return result_view(job, list(plates), list(unread))


def refuse_deleted(job: Job) -> None:
    """Raises Gone if the job's plates were kept for as long as they may be."""
    if job.plates_deleted_at is not None:
        raise Gone(
            "The plates of this job were deleted when RETENTION_PLATE_DAYS were over.",
            code="plates_deleted",
        )


def plates_page(session: Session, job_id: uuid.UUID, cursor: str | None, limit: int) -> Page:
    """The job's plates so far, in order of their first appearance. Raises NotFound."""
    job = processed_job(session, job_id)
    refuse_deleted(job)
    order = (Plate.first_frame, Plate.track_id)
    query = select(Plate).where(Plate.job_id == job.id).order_by(*order).limit(limit + 1)
    if cursor is not None:
        after = session.get(Plate, decode_cursor(cursor)[1])
        if after is not None:
            query = query.where(tuple_(*order) > (after.first_frame, after.track_id))
    rows = list(session.scalars(query))
    more = rows[limit - 1] if len(rows) > limit else None
    return Page(
        [plate_view(row) for row in rows[:limit]],
        encode_cursor(more.created_at, more.id) if more else None,
    )


def export_rows(sessions: SessionFactory, job_id: uuid.UUID) -> Iterator[dict[str, Any]]:
    """All plates of a job, read in pages so that memory stays bounded."""
    cursor: str | None = None
    while True:
        with sessions() as session:
            page = plates_page(session, job_id, cursor, 500)
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return


def as_csv(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    """Plates as RFC 4180 lines, the header first."""
    yield _csv_line(CSV_COLUMNS)
    for row in rows:
        best, box = row["best"], row["best"]["bbox"]
        yield _csv_line(
            (
                row["plate_id"], row["text"], row["confidence"],
                row["first_seen"]["frame"], row["first_seen"]["seconds"],
                row["last_seen"]["frame"], row["last_seen"]["seconds"], row["observations"],
                best["frame"], best["seconds"], box["x1"], box["y1"], box["x2"], box["y2"],
                " ".join(f"{c['text']}:{c['confidence']}" for c in row["candidates"]),
                row["crop_url"], row["frame_url"],
            )
        )  # fmt: skip


def as_jsonl(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    """Plates as JSON lines."""
    for row in rows:
        yield json.dumps(row, separators=(",", ":")) + "\n"


def _csv_line(values: tuple[object, ...]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(values)
    return line.getvalue()


def search(
    session: Session,
    *,
    hashed: bool,
    hash_keys: Sequence[SecretStr],
    pattern: str | None,
    fuzzy: int,
    since: datetime | None,
    until: datetime | None,
    cursor: str | None,
    limit: int,
) -> Page:
    """Plates of all jobs whose text matches, the newest first.

    ``?`` stands for one character and ``*`` for any number; without either, the text may stand
    anywhere in the plate. ``fuzzy`` allows that many wrong, missing or extra characters in the
    whole text. Where texts are kept ``hashed``, only a whole text can be found. A whole text also
    finds what is kept as a hash by one of ``hash_keys``. Raises InvalidRequest.
    """
    query = select(Plate).order_by(Plate.created_at.desc(), Plate.id.desc()).limit(limit + 1)
    if pattern is not None:
        query = query.where(*_matches(session, pattern, fuzzy, hashed, hash_keys))
    if since is not None:
        query = query.where(Plate.created_at >= since)
    if until is not None:
        query = query.where(Plate.created_at < until)
    if cursor is not None:
        query = query.where(tuple_(Plate.created_at, Plate.id) < decode_cursor(cursor))
    rows = list(session.scalars(query))
    more = rows[limit - 1] if len(rows) > limit else None
    return Page(
        [plate_view(row) for row in rows[:limit]],
        encode_cursor(more.created_at, more.id) if more else None,
    )


def _matches(
    session: Session,
    pattern: str,
    fuzzy: int,
    hashed: bool,
    hash_keys: Sequence[SecretStr],
) -> list[ColumnElement[bool]]:
    wanted = plate_text.normalised(pattern)
    if not re.fullmatch(rf"[A-Z0-9?*]{{1,{plate_text.LONGEST}}}", wanted):
        raise InvalidRequest(
            "The text may hold letters A to Z, digits, and ? and * as wildcards, at most "
            f"{plate_text.LONGEST}.",
            code="bad_pattern",
        )
    if plate_text.HASH.fullmatch(wanted) and not fuzzy:
        return [Plate.text == wanted]
    wildcards = "?" in wanted or "*" in wanted
    if hashed:
        if fuzzy or wildcards:
            raise InvalidRequest(
                "Texts are kept as hashes (PLATE_HASH_KEY): ask for one whole text, without "
                "wildcards and without fuzzy.",
                code="plates_are_hashed",
            )
        return [Plate.text.in_(plate_text.ways_kept(hash_keys, wanted))]
    # The digits of a hash mean nothing by themselves.
    plain = func.length(Plate.text) <= plate_text.LONGEST_PLAIN
    if wildcards:
        if fuzzy:
            raise InvalidRequest(
                "Wildcards and fuzzy do not go together: leave one of them out.",
                code="bad_pattern",
            )
        return [Plate.text.like(wanted.replace("?", "_").replace("*", "%")), plain]
    if not fuzzy:
        part = and_(Plate.text.contains(wanted), plain)
        ways = plate_text.ways_kept(hash_keys, wanted)
        return [or_(part, Plate.text.in_(ways)) if hash_keys else part]
    conditions: list[ColumnElement[bool]] = [
        func.levenshtein_less_equal(Plate.text, wanted, fuzzy) <= fuzzy
    ]
    threshold = _least_similarity(wanted, fuzzy)
    if threshold > 0:
        # Lets the trigram index throw out what cannot match before distances are computed.
        session.execute(
            text("SELECT set_config('pg_trgm.similarity_threshold', :value, true)"),
            {"value": f"{threshold:.4f}"},
        )
        conditions.insert(0, Plate.text.op("%")(wanted))
    return conditions


def _least_similarity(wanted: str, fuzzy: int) -> float:
    """The least pg_trgm similarity that a text within ``fuzzy`` edits can have; 0 if none.

    One edit destroys at most three of the text's trigrams; the other text has at most one
    trigram more than it has characters.
    """
    padded = f"  {wanted} "
    trigrams = len({padded[i : i + 3] for i in range(len(padded) - 2)})
    shared = trigrams - 3 * fuzzy
    if shared <= 0:
        return 0.0
    return int(10_000 * shared / (trigrams + len(wanted) + fuzzy + 1 - shared)) / 10_000


def plate(session: Session, plate_id: uuid.UUID) -> Plate:
    """The plate. Raises NotFound."""
    row = session.get(Plate, plate_id)
    if row is None:
        raise NotFound(f"There is no plate {plate_id}.", code="plate_not_found")
    return row


def correct(
    session: Session,
    plate_id: uuid.UUID,
    corrected: str,
    by: str | None,
    *,
    hash_key: SecretStr | None,
) -> dict[str, Any]:
    """Sets a plate's text to what a person read; the machine's reading stays beside it."""
    row = plate(session, plate_id)
    wanted = plate_text.normalised(corrected)
    if not re.fullmatch(r"[A-Z0-9]{1,16}", wanted):
        raise InvalidRequest(
            "A plate's text holds 1 to 16 letters A to Z and digits.", code="bad_plate_text"
        )
    row.text = plate_text.kept(hash_key, wanted)
    row.corrected_by = by
    row.corrected_at = func.now()
    session.flush()
    return plate_view(row)


def unread_track(session: Session, job_id: uuid.UUID, track_id: int) -> UnreadTrack:
    """A plate that was seen and not read. Raises NotFound."""
    row = session.get(UnreadTrack, (processed_job(session, job_id).id, track_id))
    if row is None:
        raise NotFound(f"The job has no unread track {track_id}.", code="track_not_found")
    return row
