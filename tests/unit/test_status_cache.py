"""Kept answers are given only while they are true."""

from __future__ import annotations

import uuid

import pytest

from detect_api.api.status import MAX_AGE_SECONDS, MAX_ENTRIES, StatusCache

JOB, OTHER = uuid.uuid4(), uuid.uuid4()


@pytest.fixture
def kept() -> StatusCache:
    cache = StatusCache()
    cache.listen(True)
    return cache


def test_an_answer_is_kept_until_the_job_changes(kept: StatusCache) -> None:
    kept.put(JOB, b"1", kept.changes, None)
    kept.changed(OTHER)
    assert kept.get(JOB) == b"1"
    kept.changed(JOB)
    assert kept.get(JOB) is None


def test_an_answer_read_before_a_change_is_not_kept(kept: StatusCache) -> None:
    before = kept.changes
    kept.changed(JOB)
    kept.put(JOB, b"old", before, None)
    assert kept.get(JOB) is None


def test_an_upload_changes_with_its_processing_job(kept: StatusCache) -> None:
    kept.put(JOB, b"1", kept.changes, OTHER)
    kept.changed(OTHER)
    assert kept.get(JOB) is None


def test_nothing_is_kept_while_the_database_cannot_be_heard(kept: StatusCache) -> None:
    kept.put(JOB, b"1", kept.changes, None)
    kept.listen(False)
    assert kept.get(JOB) is None
    kept.put(JOB, b"1", kept.changes, None)
    assert kept.get(JOB) is None


def test_an_answer_does_not_grow_old(kept: StatusCache, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    kept.put(JOB, b"1", kept.changes, None)
    now += MAX_AGE_SECONDS + 0.01
    assert kept.get(JOB) is None


def test_memory_is_bounded(kept: StatusCache) -> None:
    for _ in range(MAX_ENTRIES + 10):
        kept.put(uuid.uuid4(), b"1", kept.changes, uuid.uuid4())
    assert len(kept._entries) == MAX_ENTRIES
    assert len(kept._upload_of) == MAX_ENTRIES
