"""The API: pre-signing, streamed uploads, status reads, memory."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import psycopg

from bench.report import Report, median_ms, say
from detect_api.local.stack import Stack
from detect_api.storage.s3 import make_client

MB = 2**20
UPLOAD_MB = 200
STREAMS = 50
SECONDS = 5.0


def measure(stack: Stack, report: Report) -> None:
    """All of it."""
    idle = memory(stack)
    report.add(
        "API process, idle", f"{idle / MB:.0f} MB", floor="-", target="<= 150 MB",
        reached=idle <= 150 * MB,
    )  # fmt: skip
    presign(stack, report)
    status_reads(stack, report)
    with tempfile.TemporaryDirectory(prefix="da-bench-") as folder:
        video = Path(folder) / "video.mp4"
        with video.open("wb") as file:
            for _ in range(UPLOAD_MB):
                file.write(bytes(MB))
        upload_speed(stack, report, video)
        upload_memory(stack, report, video)


def memory(stack: Stack) -> int:
    """Resident bytes of the API process."""
    found: int = psutil.Process(stack.pid_of("api")).memory_info().rss
    return found


def presign(stack: Stack, report: Report) -> None:
    say("pre-signing over HTTP, one client")
    with httpx.Client(base_url=stack.api_url) as client:
        body = {"filename": "traffic.mp4", "file_size": 187_000_000}
        url = "/process/video/upload/s3/presigned-url"

        def ask() -> None:
            client.post(url, json=body).raise_for_status()

        asked = median_ms(ask, 500)
        empty = median_ms(lambda: client.get("/health").raise_for_status(), 500)
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE bench_commit (n int)")
        commit = median_ms(lambda: connection.execute("INSERT INTO bench_commit VALUES (1)"), 500)
        connection.execute("DROP TABLE bench_commit")
    report.add(
        "Presign, median", f"{asked:.2f} ms",
        floor=f"{empty + commit:.2f} ms (empty request {empty:.2f} + commit {commit:.2f})",
        target="<= 3 ms", reached=asked <= 3.0,
    )  # fmt: skip


async def _reader(
    address: tuple[str, int], request: bytes, until: float, counts: list[int]
) -> None:
    reader, writer = await asyncio.open_connection(*address)
    number = 0
    try:
        while time.monotonic() < until:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            number += 1
    finally:
        writer.close()
        counts.append(number)


def reads_a_second(stack: Stack, path: str, connections: int = 8) -> float:
    """Answers a second to GETs of one path, over so many connections."""
    parts = urlsplit(stack.api_url)
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    counts: list[int] = []

    async def run() -> None:
        until = time.monotonic() + SECONDS
        address = (str(parts.hostname), parts.port or 0)
        await asyncio.gather(
            *(_reader(address, request, until, counts) for _ in range(connections))
        )

    started = time.monotonic()
    asyncio.run(run())
    return sum(counts) / (time.monotonic() - started)


@contextmanager
def followers(stack: Stack, job_id: str) -> Iterator[None]:
    """So many open event streams of a job."""
    ending = threading.Event()

    async def follow() -> None:
        async with httpx.AsyncClient(
            base_url=stack.api_url, timeout=60, limits=httpx.Limits(max_connections=None)
        ) as client:

            async def one() -> None:
                async with client.stream("GET", f"/jobs/{job_id}/events") as answer:
                    async for _ in answer.aiter_raw():
                        pass

            tasks = [asyncio.create_task(one()) for _ in range(STREAMS)]
            await asyncio.to_thread(ending.wait, 600)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=lambda: asyncio.run(follow()))
    thread.start()
    end = time.monotonic() + 20
    while open_streams(stack) < STREAMS:
        if time.monotonic() > end:
            raise RuntimeError("the event streams did not open")
        time.sleep(0.1)
    try:
        yield
    finally:
        ending.set()
        thread.join(timeout=30)


def open_streams(stack: Stack) -> float:
    """What the API says of its open streams."""
    text = httpx.get(f"{stack.api_url}/metrics").text
    line = next(x for x in text.splitlines() if x.startswith("detect_api_event_streams "))
    return float(line.split()[1])


def status_reads(stack: Stack, report: Report) -> None:
    say(f"status reads with {STREAMS} open event streams")
    form = httpx.post(
        f"{stack.api_url}/process/video/upload/s3/presigned-url", json={"filename": "a.mp4"}
    ).json()
    client = make_client(stack.settings, public=False)
    client.put_object(
        Bucket=form["bucket"], Key=form["s3_key"], Body=b"video", ContentType="video/mp4"
    )
    path = f"/jobs/{form['job_id']}"
    httpx.get(stack.api_url + path).raise_for_status()
    with followers(stack, form["job_id"]):
        reads = reads_a_second(stack, path)
        floor = reads_a_second(stack, "/health")
    report.add(
        f"Status reads, {STREAMS} event streams open", f"{reads:.0f}/s",
        floor=f"{floor:.0f}/s (empty requests)", target=">= 1000/s", reached=reads >= 1000,
    )  # fmt: skip


def _curl(*arguments: str) -> float:
    """Seconds that curl took. Raises CalledProcessError if the server said no."""
    started = time.perf_counter()
    subprocess.run(
        ["curl", "--silent", "--show-error", "--fail", "--output", "/dev/null", *arguments],
        check=True,
    )
    return time.perf_counter() - started


def _through_api(stack: Stack, video: Path) -> float:
    return _curl("-F", f"file=@{video};type=video/mp4",
                 f"{stack.api_url}/process/video/upload/async")  # fmt: skip


def upload_speed(stack: Stack, report: Report, video: Path) -> None:
    say(f"{UPLOAD_MB} MB through the API, and by curl -T into the same storage")
    client = make_client(stack.settings, public=False)
    direct, through = [], []
    for number in range(3):
        url = client.generate_presigned_url(
            "put_object",
            Params={"Bucket": stack.settings.s3_bucket_name, "Key": f"videos/bench-{number}.mp4"},
        )
        direct.append(_curl("-T", str(video), url))
        through.append(_through_api(stack, video))
    ratio = min(direct) / min(through)
    report.add(
        f"{UPLOAD_MB} MB through the API", f"{UPLOAD_MB / min(through):.0f} MB/s = {ratio:.2f} x",
        floor=f"{UPLOAD_MB / min(direct):.0f} MB/s (curl -T into the same storage)",
        target=">= 0.5 x", reached=ratio >= 0.5,
    )  # fmt: skip


def upload_memory(stack: Stack, report: Report, video: Path) -> None:
    say(f"8 uploads of {UPLOAD_MB} MB at once")
    before = memory(stack)
    highest = before
    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(_through_api, stack, video) for _ in range(8)]
        while not all(future.done() for future in running):
            highest = max(highest, memory(stack))
            time.sleep(0.02)
        for future in running:
            future.result()
    growth = highest - before
    report.add(
        "API process, growth with 8 uploads at once", f"{growth / MB:.1f} MB",
        floor=f"{before / MB:.0f} MB before", target="<= 16 MB", reached=growth <= 16 * MB,
    )  # fmt: skip
