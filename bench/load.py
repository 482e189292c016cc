"""Many at once: uploads straight to S3, and event streams beside them."""

from __future__ import annotations

import asyncio
import os
import time

import httpx

from bench.report import Report, say
from detect_api.local.stack import Stack

UPLOADS = 200
STREAMS = 1000
SIZE = 2**20
LONGEST_SECONDS = 300.0


def measure(stack: Stack, report: Report) -> None:
    """Both, with the time of the middle one and of the slowest hundredth."""
    say(f"{UPLOADS} presigned uploads of 1 MiB at the same time")
    asked, sent = asyncio.run(_uploads(stack.api_url))
    _add(report, f"{UPLOADS} at once: presign", asked)
    _add(report, f"{UPLOADS} at once: upload of 1 MiB", sent)
    say(f"{STREAMS} event streams of one job, all told when it ends")
    opened, told = asyncio.run(_streams(stack.api_url))
    _add(report, f"{STREAMS} event streams: first event", opened)
    _add(report, f"{STREAMS} event streams: word of the end", told)


def _add(report: Report, name: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    middle, late = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
    report.add(
        name, f"p50 {middle:.2f} s, p99 {late:.2f} s", floor="-", target="none fails", reached=True
    )


def _client(url: str) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    return httpx.AsyncClient(base_url=url, timeout=LONGEST_SECONDS, limits=limits)


async def _form(client: httpx.AsyncClient) -> dict[str, dict[str, str]]:
    body = {"filename": "load.mp4", "file_size": SIZE}
    answer = await client.post("/process/video/upload/s3/presigned-url", json=body)
    form: dict[str, dict[str, str]] = answer.raise_for_status().json()
    return form


async def _uploads(url: str) -> tuple[list[float], list[float]]:
    content = os.urandom(SIZE)
    asked, sent = [], []

    async def one(client: httpx.AsyncClient) -> None:
        begun = time.perf_counter()
        form = await _form(client)
        asked.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        files = {"file": ("load.mp4", content, "video/mp4")}
        answer = await client.post(str(form["upload_url"]), data=form["upload_fields"], files=files)
        answer.raise_for_status()
        sent.append(time.perf_counter() - begun)

    async with _client(url) as client:
        await asyncio.gather(*(one(client) for _ in range(UPLOADS)))
    return asked, sent


async def _streams(url: str) -> tuple[list[float], list[float]]:
    opened: list[float] = []
    ended: list[float] = []

    async def follow(client: httpx.AsyncClient, job: str) -> None:
        begun = time.perf_counter()
        first = True
        async with client.stream("GET", f"/jobs/{job}/events") as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                if first and line.startswith("event:"):
                    first = False
                    opened.append(time.perf_counter() - begun)
                if line.startswith("event: cancelled"):
                    ended.append(time.perf_counter())

    async with _client(url) as client:
        job = str((await _form(client))["job_id"])
        following = [asyncio.create_task(follow(client, job)) for _ in range(STREAMS)]
        until = time.monotonic() + LONGEST_SECONDS
        while len(opened) < STREAMS:
            if time.monotonic() > until or any(task.done() for task in following):
                raise RuntimeError(f"only {len(opened)} of {STREAMS} streams opened")
            await asyncio.sleep(0.05)
        cancelled = time.perf_counter()
        (await client.post(f"/jobs/{job}/cancel")).raise_for_status()
        await asyncio.wait_for(asyncio.gather(*following), LONGEST_SECONDS)
    if len(ended) < STREAMS:
        raise RuntimeError(f"only {len(ended)} of {STREAMS} streams heard of the end")
    return opened, [max(0.0, at - cancelled) for at in ended]
