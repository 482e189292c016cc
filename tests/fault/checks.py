"""What must be true when the faults are over. Each raises AssertionError after its patience."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import psutil
import psycopg
from psycopg.rows import dict_row

from detect_api.client import Client, ClientError
from detect_api.client.events import FINISHED
from tests.fault.faults import children
from tests.fault.world import SERVICE, World

MORE_FILES = 40
"""So many more open files than before are still no leak: pools grow, connections are kept."""

_WAITING = ("awaiting_upload", "uploaded", "expired")


@dataclass
class OpenFiles:
    """Of a process at rest: how many, when first looked at."""

    part: str
    first: int


def patiently(seconds: float, wrong: Callable[[], object]) -> None:
    """Returns when nothing is wrong any more."""
    end = time.monotonic() + seconds
    while True:
        try:
            found = wrong()
        except (httpx.HTTPError, ClientError, psycopg.Error) as error:
            found = repr(error)
        if not found:
            return
        assert time.monotonic() < end, f"{found} after {seconds:.0f} s"
        time.sleep(0.25)


def await_ready(world: World) -> None:
    """Everything works again."""
    url = f"{world.service.api_url}/ready"

    def wrong() -> str:
        answer = httpx.get(url, timeout=20)
        return "" if answer.status_code == 200 else f"not ready: {answer.text}"

    patiently(120.0, wrong)


def ended(client: Client, job_id: str, seconds: float) -> dict[str, Any]:
    """The job, once it has ended."""
    found: dict[str, Any] = {}

    def wrong() -> object:
        found.update(client.job(job_id))
        return None if found["status"] in FINISHED else f"a job has not ended: {found}"

    patiently(seconds, wrong)
    return found


def stored_whole(world: World, key: str, size: int) -> None:
    """An acknowledged upload is in storage, with all its bytes."""
    found = world.store.head_object(Bucket=str(world.settings.s3_bucket_name), Key=key)
    assert found["ContentLength"] == size, f"{key} has {found['ContentLength']} of {size} bytes"


def read_once(world: World, key: str) -> None:
    """One job read this video, and none twice."""
    rows = _rows(world, "SELECT id, status FROM jobs WHERE object_key = %s AND type = 'video'", key)
    assert len(rows) == 1, f"{key} was read by {rows}"


def delete_what_has_ended(world: World, seconds: float) -> None:
    """Every job ends; then all are deleted. Nobody waits for those that never got a file."""
    deleted: set[str] = set()

    def wrong() -> object:
        left = _rows(world, "SELECT id, type, status, error_code FROM jobs")
        with Client(world.service.api_url) as client:
            for row in left:
                if row["status"] in (*FINISHED, *_WAITING) and str(row["id"]) not in deleted:
                    try:
                        client.delete(str(row["id"]))
                    except ClientError as error:
                        if error.status != 404:
                            raise
        return f"jobs that do not end: {left}" if left else None

    patiently(seconds, wrong)


def nothing_without_a_job(world: World, seconds: float) -> None:
    """With all jobs gone, storage is empty and the queue is, too."""
    nothing_unfinished(world)
    bucket = str(world.settings.s3_bucket_name)
    prefix = world.settings.s3_video_prefix

    def wrong() -> object:
        objects = world.store.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        keys = [item["Key"] for item in objects if not item["Key"].endswith(".ready")]
        if keys:
            return f"objects without a job: {keys}"
        waiting = _rows(world, "SELECT task_name, status, args FROM procrastinate_jobs")
        return f"tasks without a job: {waiting}" if waiting else None

    patiently(seconds, wrong)


def nothing_unfinished(world: World) -> None:
    """No parts of an upload that has a row stay behind.

    A process that dies between the store's answer and its commit leaves an upload nobody knows;
    it is dropped a day after it could last have been used (ADR 26). Here it is counted and dropped.
    """
    bucket = str(world.settings.s3_bucket_name)

    def left() -> list[tuple[str, str]]:
        found = world.store.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        return [(item["Key"], item["UploadId"]) for item in found]

    end = time.monotonic() + 30
    while left() and time.monotonic() < end:
        time.sleep(0.5)
    for key, upload_id in left():
        parts = world.store.list_parts(Bucket=bucket, Key=key, UploadId=upload_id).get("Parts", [])
        assert not parts, f"{key} has {len(parts)} parts that no job stands for"
        world.unknown_uploads += 1
        world.store.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)


def no_decoder_left(world: World, seconds: float) -> None:
    """Nobody decodes any more."""

    def wrong() -> object:
        left = [child.pid for part in SERVICE for child in children(world.pid_of(part))]
        return f"processes left over: {left}" if left else None

    patiently(seconds, wrong)


def watch_files(world: World, known: dict[int, OpenFiles]) -> None:
    """No process has many more files open than it had at rest when it was first seen.

    Raises AssertionError at once. A process that was started since is looked at from now on.
    """
    for part in (*SERVICE, "postgres", "storage"):
        pid = world.pid_of(part)
        try:
            number = psutil.Process(pid).num_fds() if pid else 0
        except psutil.Error:
            continue
        if pid is None:
            continue
        before = known.setdefault(pid, OpenFiles(part, number))
        assert number <= before.first + MORE_FILES, (
            f"{part} has {number} open files, {before.first} before"
        )


def _rows(world: World, statement: str, *values: str) -> list[dict[str, Any]]:
    with psycopg.connect(
        world.servers.database_url, row_factory=dict_row, connect_timeout=10
    ) as connection:
        return connection.execute(statement, values).fetchall()
