"""Task ``merge``: turns finished segments, in order, into plates.

Each segment is merged in a transaction of its own that also moves ``merged_segments`` on by one,
so that no segment counts twice and a crash loses nothing. Pictures are put into storage before
the rows that name them are written; their keys follow from job and track, so that doing it again
overwrites the same objects.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, defer

from detect_api.core import plate_text
from detect_api.core.errors import VideoError
from detect_api.core.ids import plate_id
from detect_api.db.tables import Job, Plate, Removal, Segment, UnreadTrack
from detect_api.jobs import editions, multipart, queue, receipts, states
from detect_api.jobs.progress import Interrupted, counting, totals
from detect_api.jobs.segment import plan_of
from detect_api.jobs.views import evidence_prefix, plate_view
from detect_api.jobs.workshop import Workshop, load_job, parameters_of, video_info_of
from detect_api.vision import decode, pipeline, wire
from detect_api.vision import types as vision

log = structlog.get_logger(__name__)

JPEG = "image/jpeg"


@dataclass(frozen=True)
class Pictures:
    """The JPEGs that prove one track."""

    crop: bytes
    frame: bytes


def merge(shop: Workshop, job_id: uuid.UUID, attempt: int) -> None:
    """Merges all segments that are next in order; ends the job after the last one.

    Raises Superseded, Interrupted, StorageError.
    """
    while True:
        job = load_job(shop, job_id)
        if job is None or job.attempt != attempt or job.status != states.PROCESSING:
            raise states.Superseded
        editions.require(job, shop.edition)
        if shop.stop.is_set():
            raise Interrupted
        if job.planned_segments is not None and job.merged_segments >= job.planned_segments:
            if job.input_sha256 is not None:
                _finish(shop, job)
            return
        row = _next_segment(shop, job)
        if row is None:
            return
        _merge_one(shop, job, row)


def _next_segment(shop: Workshop, job: Job) -> Segment | None:
    with shop.sessions() as session:
        return session.scalar(
            select(Segment).where(
                Segment.job_id == job.id,
                Segment.index == job.merged_segments,
                Segment.result.is_not(None),
            )
        )


def _state(job: Job) -> pipeline.Merge:
    if job.merge_state is not None:
        return pipeline.Merge.load(job.merge_state)
    return pipeline.Merge.new(parameters_of(job), single_image=job.type == "image")


def _merge_one(shop: Workshop, job: Job, row: Segment) -> None:
    assert row.result is not None
    result = wire.load_result(row.result)
    state = _state(job)
    merged = state.advance(result, row.end_seconds)
    pictures = _pictures(shop, job, merged)
    with shop.sessions.begin() as session:
        current = _still(session, job)
        current.merge_state = state.dump()
        current.merged_segments += 1
        current.frames_with_detections += result.frames_with_detections
        new_problems = [text for text in result.problems if text not in current.problems]
        current.problems = [*current.problems, *new_problems][:100]
        _add(session, shop, current, merged, pictures)
        current.message = counting(
            current.plates_found, current.frames_done, current.frames_total, current.detections
        )
        current.updated_at = func.now()
        queue.notify(session, job.id)
    _count(shop, merged)


def _count(shop: Workshop, merged: vision.Merged) -> None:
    shop.metrics.plates.inc(len(merged.plates))
    shop.metrics.unread.inc(len(merged.unread))


def _finish(shop: Workshop, job: Job) -> None:
    merged = _state(job).finish()
    pictures = _pictures(shop, job, merged)
    with shop.sessions.begin() as session:
        current = _still(session, job)
        _add(session, shop, current, merged, pictures)
        done, detections = totals(session, job.id)
        current.frames_done = done
        current.detections = detections
        current.merge_state = None
        current.completed_at = current.updated_at = func.now()
        ended = counting(current.plates_found, done, current.frames_total, detections)
        error = _what_is_missing(session, current, done)
        if error is None:
            current.status = states.COMPLETED
            current.progress = 1.0
            current.message = ended
            states.add_event(
                session,
                job.id,
                states.COMPLETED,
                {"plates_found": current.plates_found, "result_url": f"/jobs/{job.id}/result"},
            )
        else:
            current.status = states.FAILED
            current.error_code, current.error_detail = error
            current.message = f"{ended}; {error[1]}"
            states.add_event(session, job.id, states.FAILED, {"code": error[0], "detail": error[1]})
        status = current.status
    _count(shop, merged)
    shop.metrics.job_ended(status, error[0] if error else "")
    log.info("job_ended", job_id=str(job.id), status=status, plates=current.plates_found)
    remove_if_asked(shop, job.id)


def _what_is_missing(session: Session, job: Job, done: int) -> tuple[str, str] | None:
    """Why the job has to say that it failed although all that was readable has been read."""
    info = video_info_of(job)
    if info.truncated and info.problems:
        return "truncated", info.problems[-1]
    lost = [
        wire.load_result(result)
        for result in session.scalars(
            select(Segment.result).where(
                Segment.job_id == job.id, Segment.frames_done == 0, Segment.result.is_not(None)
            )
        )
        if result is not None
    ]
    if done == 0:
        reason = next((text for item in lost for text in item.problems), "")
        return "no_frames", f"No frame of the video could be read. {reason}".strip()
    unread = [item for item in lost if item.missing_frames]
    if unread:
        frames = sum(item.missing_frames for item in unread)
        reason = unread[0].problems[0] if unread[0].problems else ""
        return "partly_unreadable", f"{frames} frames could not be read. {reason}".strip()
    return None


def remove_if_asked(shop: Workshop, job_id: uuid.UUID) -> None:
    """Deletes the video of a completed job that asked for it. Repeated by the sweep."""
    job = load_job(shop, job_id)
    if job is None or job.status != states.COMPLETED or job.video_deleted_at is not None:
        return
    if not job.parameters.get("delete_after_processing"):
        return
    assert job.object_key is not None
    with shop.sessions.begin() as session:
        # Another job may still need the same object.
        other = session.scalar(
            select(Job.id).where(
                Job.object_key == job.object_key,
                Job.id != job.id,
                Job.type != "upload",
                Job.status.in_(states.ACTIVE),
            )
        )
    if other is not None:
        return
    with shop.sessions.begin() as session:
        row = session.get(Job, job_id, with_for_update=True, populate_existing=True)
        if row is None or row.video_deleted_at is not None:
            return
        row.video_deleted_at = func.now()
        subject = {
            "job_id": str(job_id),
            "reason": "delete_after_processing",
            "what": "video",
            "video": job.object_key,
        }
        receipt = receipts.open_receipt(session, receipts.RETENTION, subject, {}, tenant=row.tenant)
        session.add(Removal(prefix=job.object_key, receipt_id=receipt.id, keep_until=func.now()))
    multipart.carry_out_now(shop.sessions, shop.store, job.object_key)


def _still(session: Session, job: Job) -> Job:
    """The locked row, if nobody merged or ended the job since it was read."""
    current = states.locked(session, job.id, job.attempt, (states.PROCESSING,))
    if current.merged_segments != job.merged_segments:
        raise states.Superseded
    return current


def _pictures(shop: Workshop, job: Job, merged: vision.Merged) -> dict[int, Pictures]:
    """Takes and stores the pictures of all tracks that were decided; by track id."""
    tracks: Sequence[vision.Plate | vision.UnreadTrack] = [*merged.plates, *merged.unread]
    by_frame: dict[int, list[vision.Plate | vision.UnreadTrack]] = {}
    for track in tracks:
        by_frame.setdefault(track.best.frame, []).append(track)
    pictures: dict[int, Pictures] = {}
    if not shop.settings.keeps_pictures:
        return pictures
    for row, numbers in _segments_of(shop, job, sorted(by_frame)):
        with shop.source(job) as source:
            reader = decode.frames(source, plan_of(row), numbers, video_info_of(job), shop.limits)
            with closing(reader):
                for frame in reader:
                    for track in by_frame[frame.number]:
                        pictures[track.track_id] = Pictures(
                            *pipeline.evidence(frame.image, track.best)
                        )
    missing = [track.track_id for track in tracks if track.track_id not in pictures]
    if missing:
        raise VideoError(
            f"The frames of the tracks {missing} could be read once but not a second time.",
            code="corrupt_video",
        )
    prefix = evidence_prefix(shop.settings.s3_video_prefix, job.id)
    for plate in merged.plates:
        taken = pictures[plate.track_id]
        shop.store.put(f"{prefix}{plate.track_id}-crop.jpg", taken.crop, JPEG)
        shop.store.put(f"{prefix}{plate.track_id}-frame.jpg", taken.frame, JPEG)
    for unread in merged.unread:
        shop.store.put(f"{prefix}{unread.track_id}-crop.jpg", pictures[unread.track_id].crop, JPEG)
    return pictures


def _segments_of(shop: Workshop, job: Job, numbers: list[int]) -> list[tuple[Segment, list[int]]]:
    """The segments that hold these frames, each with its own of them in order."""
    if not numbers:
        return []
    with shop.sessions() as session:
        rows = session.scalars(
            select(Segment)
            .options(defer(Segment.result, raiseload=True))
            .where(
                Segment.job_id == job.id,
                Segment.first_frame <= numbers[-1],
                Segment.end_frame > numbers[0],
            )
            .order_by(Segment.index)
        ).all()
    found = ((row, [n for n in numbers if row.first_frame <= n < row.end_frame]) for row in rows)
    return [(row, inside) for row, inside in found if inside]


def _add(
    session: Session,
    shop: Workshop,
    job: Job,
    merged: vision.Merged,
    pictures: dict[int, Pictures],
) -> None:
    """Writes the decided tracks with their events. ``pictures`` proves that theirs are stored."""
    prefix = evidence_prefix(shop.settings.s3_video_prefix, job.id)
    tracks: list[vision.Plate | vision.UnreadTrack] = [*merged.plates, *merged.unread]
    kept = shop.settings.keeps_pictures
    assert not kept or pictures.keys() >= {track.track_id for track in tracks}
    for plate in merged.plates:
        words = plate_text.kept(shop.settings.plate_hash_key, plate.text)
        details = wire.plate_json(plate)
        if shop.settings.plates_are_hashed:
            # They would give the text away.
            details |= {"text": words, "candidates": [], "characters": []}
        row = Plate(
            id=plate_id(job.id, plate.track_id),
            job_id=job.id,
            track_id=plate.track_id,
            text=words,
            read_text=words,
            first_frame=plate.first_seen.frame,
            confidence=plate.confidence,
            details=details,
            path=wire.path_json(plate.path),
            crop_key=f"{prefix}{plate.track_id}-crop.jpg" if kept else "",
            frame_key=f"{prefix}{plate.track_id}-frame.jpg" if kept else "",
        )
        session.add(row)
        session.flush()
        job.plates_found += 1
        states.add_event(session, job.id, "plate", plate_view(row))
    for unread in merged.unread:
        values: dict[str, Any] = {
            "job_id": job.id,
            "track_id": unread.track_id,
            "details": {k: v for k, v in wire.unread_json(unread).items() if k != "track_id"},
            "path": wire.path_json(unread.path),
            "crop_key": f"{prefix}{unread.track_id}-crop.jpg" if kept else "",
        }
        session.execute(insert(UnreadTrack).values(**values).on_conflict_do_nothing())
        job.unread_found += 1
