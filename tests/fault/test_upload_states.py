"""Uploads and jobs as a machine of states: whatever is asked in whatever order, the API keeps its
word. No worker runs: what workers do to a job is done by the jobs' own functions."""

from __future__ import annotations

import random
import time
import uuid
from typing import Any, ClassVar

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import update

from detect_api.db.tables import Job
from detect_api.jobs import queue, states
from tests.integration.conftest import Api

MIB = 2**20
SIZE = 8 * MIB + 1000
BODY = random.Random(1).randbytes(SIZE)


class Uploads(RuleBasedStateMachine):
    """What the test knows of each upload and job, beside what the API says of it."""

    api: Api
    seen: ClassVar[set[str]] = set()
    uploads = Bundle("uploads")
    jobs = Bundle("jobs")

    @initialize(target=jobs)
    def begin(self) -> str:
        self.status: dict[str, str] = {}
        self.sent: dict[str, set[int]] = {}
        self.keys: dict[str, str] = {}
        self.reads: dict[str, str] = {}
        self.automatic: set[str] = set()
        return self.reads[self._whole(automatic=True)]

    def ask(self, method: str, path: str, *expected: int, **more: Any) -> httpx.Response:
        answer = self.api.client.request(method, path, **more)
        assert answer.status_code in expected, f"{method} {path}: {answer.text}"
        return answer

    # -- uploads in parts

    @rule(target=uploads, automatic=st.booleans())
    def announce(self, automatic: bool) -> str:
        return self._announce(automatic)

    @rule(target=uploads, automatic=st.booleans())
    def upload_whole(self, automatic: bool) -> str:
        return self._whole(automatic)

    def _announce(self, automatic: bool) -> str:
        body = {"filename": "a.mp4", "file_size": SIZE, "auto_process": automatic}
        found = self.ask("POST", "/uploads", 200, json=body).json()
        assert found["parts"] == 2
        upload: str = found["upload_id"]
        self.status[upload], self.sent[upload] = "awaiting_upload", set()
        self.keys[upload] = found["s3_key"]
        if automatic:
            self.automatic.add(upload)
        return upload

    def _whole(self, automatic: bool) -> str:
        upload = self._announce(automatic)
        for number in (2, 1):
            self._send(upload, number)
        self._complete(upload)
        return upload

    @rule(upload=uploads, number=st.sampled_from((1, 2)))
    def send(self, upload: str, number: int) -> None:
        self._send(upload, number)

    def _send(self, upload: str, number: int) -> None:
        body = {"part_numbers": [number]}
        path = f"/uploads/{upload}/parts"
        if self.status.get(upload) != "awaiting_upload":
            self.ask("POST", path, 404 if upload not in self.status else 409, json=body)
            return
        part = self.ask("POST", path, 200, json=body).json()["parts"][0]
        content = BODY[: part["size"]] if number == 1 else BODY[-part["size"] :]
        answer = httpx.put(part["url"], content=content, headers=part["headers"], timeout=60)
        assert answer.status_code == 200, answer.text
        self.sent[upload].add(number)

    @rule(upload=uploads)
    def complete(self, upload: str) -> None:
        self._complete(upload)

    def _complete(self, upload: str) -> None:
        path = f"/uploads/{upload}/complete"
        if upload not in self.status:
            self.ask("POST", path, 404, json={})
        elif self.status[upload] == "uploaded":
            assert self.ask("POST", path, 200, json={}).json()["file_size"] == SIZE
        elif self.status[upload] == "awaiting_upload" and self.sent[upload] == {1, 2}:
            found = self.ask("POST", path, 200, json={}).json()
            assert found["file_size"] == SIZE
            self.status[upload] = "uploaded"
            assert (found["processing_job_id"] is not None) == (upload in self.automatic)
            if found["processing_job_id"]:
                self.reads[upload] = found["processing_job_id"]
                self.status[self.reads[upload]] = "pending"
            assert self.api.parts.store.read_range(self.keys[upload], 0, SIZE) == BODY
        else:
            self.ask("POST", path, 409, json={})

    @rule(upload=uploads)
    def give_up(self, upload: str) -> None:
        path = f"/uploads/{upload}"
        if upload not in self.status:
            self.ask("DELETE", path, 404)
        elif self.status[upload] == "uploaded":
            self.ask("DELETE", path, 409)
        else:
            self.ask("DELETE", path, 200)
            self.status[upload] = "cancelled"

    # -- jobs that read a video

    @rule(target=jobs, upload=uploads, key=st.sampled_from(("a", "b")))
    def process(self, upload: str, key: str) -> str:
        if self.status.get(upload) != "uploaded":
            return ""
        body = {"s3_key": self.keys[upload]}
        headers = {"Idempotency-Key": f"{upload}-{key}"}
        first = self.ask("POST", "/process/video/s3", 200, 202, json=body, headers=headers)
        again = self.ask("POST", "/process/video/s3", 200, 202, json=body, headers=headers)
        job: str = first.json()["job_id"]
        assert again.json()["job_id"] == job
        if upload in self.reads:
            assert job == self.reads[upload], "a video is read once unless somebody starts it anew"
        self.reads[upload] = job
        self.status.setdefault(job, "pending")
        return job

    @rule(job=jobs)
    def begin_reading(self, job: str) -> None:
        if self.status.get(job) == "pending":
            with self.api.parts.sessions.begin() as session:
                session.execute(
                    update(Job)
                    .where(Job.id == uuid.UUID(job), Job.status == "pending")
                    .values(status="processing")
                )
                queue.notify(session, uuid.UUID(job))
            self.status[job] = "processing"

    @rule(job=jobs)
    def break_down(self, job: str) -> None:
        if self.status.get(job) in ("pending", "processing"):
            with self.api.parts.sessions.begin() as session:
                attempt = session.get_one(Job, uuid.UUID(job)).attempt
                assert not states.fail(
                    session, uuid.UUID(job), attempt + 1, code="x", detail="of another attempt"
                )
                assert states.fail(session, uuid.UUID(job), attempt, code="x", detail="x")
            self.status[job] = "failed"

    @rule(job=jobs)
    def cancel(self, job: str) -> None:
        if job not in self.status:
            return
        if self.status[job] in ("pending", "processing"):
            self.ask("POST", f"/jobs/{job}/cancel", 200)
            self.status[job] = "cancelled"
        else:
            self.ask("POST", f"/jobs/{job}/cancel", 200, 409)

    @rule(job=jobs)
    def retry(self, job: str) -> None:
        if job not in self.status:
            return
        if self.status[job] in ("failed", "cancelled"):
            self.ask("POST", f"/jobs/{job}/retry", 200, 202)
            self.status[job] = "pending"
        else:
            self.ask("POST", f"/jobs/{job}/retry", 409)

    @rule(job=consumes(jobs))
    def delete(self, job: str) -> None:
        if job in self.status:
            self.ask("DELETE", f"/jobs/{job}", 200)
            self.ask("DELETE", f"/jobs/{job}", 404)
            del self.status[job]
            for upload in [upload for upload, reader in self.reads.items() if reader == job]:
                del self.status[upload], self.reads[upload]

    @invariant()
    def each_is_what_it_should_be(self) -> None:
        for job, known in getattr(self, "status", {}).items():
            # An upload whose video is read shows the state of the job that reads it.
            status = self.status[self.reads[job]] if job in self.reads else known
            # What somebody else did to a job is heard of a moment later.
            end = time.monotonic() + 60
            while (view := self.ask("GET", f"/jobs/{job}", 200).json())["status"] != status:
                assert time.monotonic() < end, f"{job} should be {status}: {view}"
                time.sleep(0.05)
            self.seen.add(status)


@pytest.mark.timeout(600)
def test_uploads_and_jobs_go_from_state_to_state(api: Api) -> None:
    Uploads.api = api
    run_state_machine_as_test(
        Uploads,
        settings=settings(
            max_examples=8, stateful_step_count=15, deadline=None, database=None,
            derandomize=True, suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
    assert len(Uploads.seen) >= 4, Uploads.seen
