"""Transfer: the client's multipart upload beside boto3's TransferManager, into the same storage."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.report import Report, say
from detect_api.client import Client
from detect_api.local.stack import Stack
from detect_api.storage.s3 import make_client

MB = 2**20
SIZE_MB = 256
ROUNDS = 5


def measure(stack: Stack, report: Report) -> None:
    """The same file by both in turns, so that what else the machine does falls on both alike."""
    with tempfile.TemporaryDirectory(prefix="da-bench-") as folder:
        video = Path(folder) / "video.mp4"
        with video.open("wb") as file:
            for _ in range(SIZE_MB):
                file.write(os.urandom(MB))
        _measure(stack, report, video, Path(folder) / "state")


def _measure(stack: Stack, report: Report, video: Path, state: Path) -> None:
    say(f"{SIZE_MB} MB in parts by boto3's TransferManager and by the client, {ROUNDS} times each")
    s3 = make_client(stack.settings, public=False)
    bucket = str(stack.settings.s3_bucket_name)
    ours: list[float] = []
    theirs: list[float] = []
    with Client(stack.api_url, state=state) as client:
        for number in range(ROUNDS + 1):
            began = time.perf_counter()
            key = f"videos/bench-transfer-{number}.mp4"
            s3.upload_file(str(video), bucket, key)
            by_boto3 = time.perf_counter() - began
            s3.delete_object(Bucket=bucket, Key=key)
            began = time.perf_counter()
            found = client.upload(video, auto_process=False, method="s3-multipart")
            by_client = time.perf_counter() - began
            client.delete(found.job_id)
            if number:  # the first round warms up
                theirs.append(by_boto3)
                ours.append(by_client)
    ratio = statistics.median(b / c for b, c in zip(theirs, ours, strict=True))
    report.add(
        f"{SIZE_MB} MB in parts by the client, median",
        f"{SIZE_MB / statistics.median(ours):.0f} MB/s = {ratio:.2f} x",
        floor=f"{SIZE_MB / statistics.median(theirs):.0f} MB/s (boto3's TransferManager)",
        target=">= 0.9 x", reached=ratio >= 0.9,
    )  # fmt: skip
    _memory(stack, report, video, state)


_ALONE = """
import sys
from pathlib import Path
import psutil
from detect_api.client import Client
url, state, video = sys.argv[1:]
own = psutil.Process()
with Client(url, state=Path(state)) as client:
    client.config()
    before = most = own.memory_info().rss
    def watch(sent, total):
        global most
        most = max(most, own.memory_info().rss)
    client.upload(video, auto_process=False, method="s3-multipart", on_progress=watch)
print(before, most)
"""


def _memory(stack: Stack, report: Report, video: Path, state: Path) -> None:
    """In a process of its own, in which nothing else has taken memory before."""
    ran = subprocess.run(
        [sys.executable, "-c", _ALONE, stack.api_url, str(state), str(video)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    before, most = (int(word) for word in ran.stdout.split())
    growth = most - before
    report.add(
        "The client's memory while it uploads, growth", f"{growth / MB:.1f} MB",
        floor=f"{before / MB:.0f} MB before", target="<= 16 MB", reached=growth <= 16 * MB,
    )  # fmt: skip
