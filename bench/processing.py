"""Processing: how soon it starts, how soon plates come, how little lies between segments."""

from __future__ import annotations

import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg

from bench.report import Report, median_ms, say
from detect_api.client import Client
from detect_api.local.stack import Stack
from detect_api.vision.sample import make_sample

CLIP_SECONDS = 60
FRAME_SKIP = 4


def measure(stack: Stack, report: Report) -> None:
    """One clip of a minute, from the call to the last plate."""
    with tempfile.TemporaryDirectory(prefix="da-bench-") as folder, Client(stack.api_url) as client:
        say(f"making a clip of {CLIP_SECONDS} s")
        video = Path(folder) / "minute.mp4"
        texts = make_sample(video, seconds=CLIP_SECONDS)
        key = client.upload_to_s3(video)["s3_key"]
        say(f"reading it, every {FRAME_SKIP}th frame, with one worker")
        called = time.monotonic()
        job_id = client.process_uploaded(key, {"frame_skip": FRAME_SKIP})["job_id"]
        started, first_plate, ended = _follow(client, job_id)
        found = [plate["text"] for plate in client.result(job_id)["plates"]]
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        round_trip = median_ms(lambda: connection.execute("SELECT 1"), 200)
    report.add(
        "Processing starts after the call", f"{started - called:.2f} s",
        floor=f"{round_trip:.2f} ms (one round trip to the database)", target="<= 1 s",
        reached=started - called <= 1.0,
    )  # fmt: skip
    share = (first_plate - called) / (ended - called)
    report.add(
        "First plate of a 60 s video", f"after {share:.0%} of {ended - called:.1f} s",
        floor=f"{CLIP_SECONDS / 6:.0f} s of video = {1 / 6:.0%} (one segment)", target="< 50 %",
        reached=share < 0.5,
    )  # fmt: skip
    hops = _hops(stack, job_id)
    report.add(
        "Queue hop, segment to segment, median", f"{statistics.median(hops):.0f} ms",
        floor=f"{round_trip:.2f} ms (one round trip to the database)", target="<= 50 ms",
        reached=statistics.median(hops) <= 50,
    )  # fmt: skip
    right = len(set(found) & set(texts))
    report.add(
        "Plates of the clip", f"{right} of {len(texts)} right, {len(found) - right} wrong",
        floor="-", target="all right", reached=sorted(found) == sorted(texts),
    )  # fmt: skip


def _follow(client: Client, job_id: str) -> tuple[float, float, float]:
    started = first_plate = float("inf")
    for name, data in client.follow(job_id):
        now = time.monotonic()
        if name == "plate":
            first_plate = min(first_plate, now)
        elif name == "progress" and data["status"] != "pending":
            started = min(started, now)
    return started, first_plate, time.monotonic()


def _hops(stack: Stack, job_id: str) -> list[float]:
    """Milliseconds from each segment's end to the start of the next one, by the one worker."""
    with psycopg.connect(stack.database_url) as connection:
        rows: list[Any] = connection.execute(
            "SELECT started_at, finished_at FROM segments WHERE job_id = %s ORDER BY started_at",
            (job_id,),
        ).fetchall()
    return [(later[0] - earlier[1]).total_seconds() * 1000 for earlier, later in pairwise(rows)]
