"""Uploads in parts through the real routes: 6 GB, 10,000 parts, and what the store refuses."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
from botocore.exceptions import ClientError

from bench.api import MB, memory
from bench.report import Report, say
from detect_api.local.stack import Stack
from detect_api.storage.multipart import PartPlan
from detect_api.storage.s3 import make_client

FILE_BYTES = 6 * 10**9
SENDERS = 4
MANY = PartPlan.of(10_000 * 33 * MB)


def measure(stack: Stack, report: Report) -> None:
    """All of it. Takes 6 GB of disk for a while."""
    with httpx.Client(base_url=stack.api_url, timeout=120) as api:
        largest(api, report)
        many_parts(stack, api, report)
        small_parts(stack, report)
        free = shutil.disk_usage(tempfile.gettempdir()).free
        if free < 2 * FILE_BYTES:
            raise RuntimeError(f"6 GB of video need 12 GB of free disk, there are {free / 1e9:.0f}")
        large_file(stack, api, report)


def _begin(api: httpx.Client, size: int) -> dict[str, Any]:
    answer = api.post("/uploads", json={"filename": "bench.mp4", "file_size": size})
    upload: dict[str, Any] = answer.raise_for_status().json()
    return upload


def _sign(api: httpx.Client, upload: dict[str, Any], numbers: list[int]) -> list[dict[str, Any]]:
    answer = api.post(f"/uploads/{upload['upload_id']}/parts", json={"part_numbers": numbers})
    parts: list[dict[str, Any]] = answer.raise_for_status().json()["parts"]
    return parts


@contextmanager
def _watched(stack: Stack) -> Iterator[list[int]]:
    """The API's memory before, and the most it had while the block ran."""
    found = [memory(stack)] * 2
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.02):
            found[1] = max(found[1], memory(stack))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join(timeout=10)


def largest(api: httpx.Client, report: Report) -> None:
    upload = _begin(api, 5 * 1024**4)
    (part,) = _sign(api, upload, [upload["parts"]])
    whole = (upload["parts"] - 1) * upload["part_size"] + part["size"]
    api.delete(f"/uploads/{upload['upload_id']}").raise_for_status()
    report.add(
        "Parts of 5 TiB", f"{upload['parts']} of {upload['part_size'] // MB} MiB",
        floor="-", target="<= 10000 of <= 5 GiB, together 5 TiB",
        reached=upload["parts"] <= 10_000 and whole == 5 * 1024**4,
    )  # fmt: skip


def many_parts(stack: Stack, api: httpx.Client, report: Report) -> None:
    say("10,000 parts: signed, stored (one byte each), listed")
    upload = _begin(api, MANY.file_size)
    assert upload["parts"] == 10_000
    with _watched(stack) as seen:
        started = time.perf_counter()
        for first in range(1, 10_001, 1000):
            signed = _sign(api, upload, list(range(first, first + 1000)))
            assert len(signed) == 1000
        signing = time.perf_counter() - started
        with psycopg.connect(stack.database_url) as connection:
            row = connection.execute(
                "SELECT multipart_id FROM jobs WHERE id = %s", [upload["job_id"]]
            ).fetchone()
        assert row is not None
        client = make_client(stack.settings, public=False)

        def send(number: int) -> None:
            client.upload_part(
                Bucket=upload["bucket"], Key=upload["s3_key"], UploadId=row[0],
                PartNumber=number, Body=b"x",
            )  # fmt: skip

        with ThreadPoolExecutor(SENDERS) as pool:
            list(pool.map(send, range(1, 10_001)))
        started = time.perf_counter()
        state = api.get(f"/uploads/{upload['upload_id']}").raise_for_status().json()
        listing = time.perf_counter() - started
        assert [part["part_number"] for part in state["received"]] == list(range(1, 10_001))
        refused = api.post(f"/uploads/{upload['upload_id']}/complete")
        assert refused.json()["code"] == "parts_wrong", refused.text
    api.delete(f"/uploads/{upload['upload_id']}").raise_for_status()
    report.add("10,000 parts signed", f"{signing:.2f} s", floor="-", target="<= 10 s",
               reached=signing <= 10)  # fmt: skip
    report.add("10,000 parts listed", f"{listing:.2f} s", floor="-", target="<= 5 s",
               reached=listing <= 5)  # fmt: skip
    growth = (seen[1] - seen[0]) / MB
    report.add("API process, growth with 10,000 parts", f"{growth:.1f} MB",
               floor=f"{seen[0] / MB:.0f} MB before", target="<= 64 MB",
               reached=growth <= 64)  # fmt: skip


def small_parts(stack: Stack, report: Report) -> None:
    """The store itself: parts under 5 MiB that are not the last, and the number 10,001."""
    client = make_client(stack.settings, public=False)
    bucket, key = str(stack.settings.s3_bucket_name), "videos/bench-small.mp4"
    refused = {}
    for size in (5 * MB - 1, 5 * MB):
        upload_id = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        parts: list[Any] = []
        for number, body in ((1, bytes(size)), (2, b"end")):
            sent = client.upload_part(
                Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=body
            )
            parts.append({"PartNumber": number, "ETag": sent["ETag"]})
        try:
            client.complete_multipart_upload(
                Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}
            )
            refused[size] = "stored"
        except ClientError as error:
            refused[size] = str(error.response.get("Error", {}).get("Code"))
            client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
    client.delete_object(Bucket=bucket, Key=key)
    report.add(
        "A first part of 5 MiB - 1, and of 5 MiB", " / ".join(refused.values()),
        floor="-", target="EntityTooSmall / stored",
        reached=list(refused.values()) == ["EntityTooSmall", "stored"],
    )  # fmt: skip


def large_file(stack: Stack, api: httpx.Client, report: Report) -> None:
    say(f"{FILE_BYTES / 1e9:.0f} GB in parts, {SENDERS} at a time, from a sparse file")
    upload = _begin(api, FILE_BYTES)
    numbers = list(range(1, upload["parts"] + 1))
    with tempfile.TemporaryDirectory(prefix="da-bench-") as folder, _watched(stack) as seen:
        path = Path(folder) / "video.mp4"
        with path.open("wb") as file:
            file.truncate(FILE_BYTES)
        source = os.open(path, os.O_RDONLY)
        started = time.perf_counter()
        with httpx.Client(timeout=120) as store, ThreadPoolExecutor(SENDERS) as pool:

            def send(number: int) -> None:
                (part,) = _sign(api, upload, [number])
                body = os.pread(source, part["size"], (number - 1) * upload["part_size"])
                store.put(part["url"], content=body, headers=part["headers"]).raise_for_status()

            list(pool.map(send, reversed(numbers)))
        sending = time.perf_counter() - started
        os.close(source)
        started = time.perf_counter()
        done = api.post(f"/uploads/{upload['upload_id']}/complete").raise_for_status().json()
        completing = time.perf_counter() - started
    assert done["file_size"] == FILE_BYTES
    again = api.post(f"/uploads/{upload['upload_id']}/complete").raise_for_status().json()
    assert again == done
    api.delete(f"/jobs/{upload['job_id']}").raise_for_status()
    growth = (seen[1] - seen[0]) / MB
    report.add(
        f"{FILE_BYTES} bytes in {len(numbers)} parts",
        f"{FILE_BYTES / MB / sending:.0f} MB/s, put together in {completing:.2f} s",
        floor="-", target="complete", reached=True,
    )  # fmt: skip
    report.add(
        "API process, growth meanwhile", f"{growth:.1f} MB",
        floor=f"{seen[0] / MB:.0f} MB before", target="<= 16 MB", reached=growth <= 16,
    )  # fmt: skip
