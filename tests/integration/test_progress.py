"""What a running segment writes of itself."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator

import pytest

from detect_api.db.session import SessionFactory, make_engine, make_session_factory
from detect_api.db.tables import Job, Segment
from detect_api.jobs.progress import SegmentProgress
from detect_api.jobs.states import Superseded


@pytest.fixture
def sessions(database_url: str) -> Iterator[SessionFactory]:
    engine = make_engine(database_url)
    yield make_session_factory(engine)
    engine.dispose()


def test_a_run_that_another_one_has_overtaken_changes_no_counter_and_ends(
    sessions: SessionFactory,
) -> None:
    job_id = uuid.uuid4()
    with sessions.begin() as session:
        session.add(Job(id=job_id, type="video", status="processing", frames_total=12))
    with sessions.begin() as session:
        session.add(
            Segment(
                job_id=job_id, index=0, attempt=1, first_frame=0, end_frame=12,
                start_seconds=0.0, end_seconds=1.0, cursor={},
            )
        )  # fmt: skip
    clock = iter(range(100))
    progress = SegmentProgress(
        sessions, job_id, 1, 0, threading.Event(), clock=lambda: float(next(clock))
    )
    progress(3, 2)
    with sessions.begin() as session:
        row = session.get_one(Segment, (job_id, 0))
        assert (row.frames_done, row.detections) == (3, 2)
        row.frames_done, row.detections, row.result = 12, 9, b"another worker's"
    with pytest.raises(Superseded):
        progress(7, 5)
    with sessions.begin() as session:
        row = session.get_one(Segment, (job_id, 0))
        assert (row.frames_done, row.detections) == (12, 9)
        session.delete(session.get_one(Job, job_id))
