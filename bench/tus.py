"""Resumable uploads: their speed beside one request's, memory, and taking over."""

from __future__ import annotations

import base64
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx

from bench.api import MB, memory
from bench.report import Report, say
from detect_api.local.stack import Stack

SIZE_MB = 200
BODY = os.urandom(SIZE_MB * MB)
TUS = {"Tus-Resumable": "1.0.0"}
TYPE = {"Content-Type": "application/offset+octet-stream"}


def measure(stack: Stack, report: Report) -> None:
    """All of it."""
    by_form, by_tus = [], []
    say(f"{SIZE_MB} MB as a form, and by tus in one request")
    for _ in range(3):
        by_form.append(_form(stack))
        by_tus.append(_upload(stack, SIZE_MB * MB))
    floor = f"{SIZE_MB / min(by_form):.0f} MB/s (the same bytes as a form)"
    ratio = min(by_form) / min(by_tus)
    report.add(
        f"tus, {SIZE_MB} MB in one request", f"{SIZE_MB / min(by_tus):.0f} MB/s = {ratio:.2f} x",
        floor=floor, target=">= 0.9 x", reached=ratio >= 0.9,
    )  # fmt: skip
    for megabytes, target in ((8, 0.6), (5, 0.3), (1, 0.1)):
        say(f"{SIZE_MB} MB by tus, {megabytes} MB a request")
        seconds = _upload(stack, megabytes * MB)
        ratio = min(by_form) / seconds
        report.add(
            f"tus, {megabytes} MB a request", f"{SIZE_MB / seconds:.0f} MB/s = {ratio:.2f} x",
            floor=floor, target=f">= {target} x", reached=ratio >= target,
        )  # fmt: skip
    _memory(stack, report)
    _take_over(stack, report)


def _form(stack: Stack) -> float:
    started = time.perf_counter()
    httpx.post(
        f"{stack.api_url}/process/video/upload/async",
        files={"file": ("traffic.mp4", BODY, "video/mp4")},
        timeout=300,
    ).raise_for_status()
    return time.perf_counter() - started


def _create(client: httpx.Client) -> str:
    name = base64.b64encode(b"traffic.mp4").decode()
    headers = {**TUS, "Upload-Length": str(len(BODY)), "Upload-Metadata": f"filename {name}"}
    location: str = (
        client.post("/uploads/tus", headers=headers).raise_for_status().headers["Location"]
    )
    return location


def _upload(stack: Stack, a_request: int) -> float:
    started = time.perf_counter()
    with httpx.Client(base_url=stack.api_url, timeout=300) as client:
        location = _create(client)
        for at in range(0, len(BODY), a_request):
            headers = {**TUS, **TYPE, "Upload-Offset": str(at)}
            client.patch(
                location, headers=headers, content=BODY[at : at + a_request]
            ).raise_for_status()
    return time.perf_counter() - started


def _memory(stack: Stack, report: Report) -> None:
    say(f"8 tus uploads of {SIZE_MB} MB at once")
    before = memory(stack)
    highest = before
    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(_upload, stack, 20 * MB) for _ in range(8)]
        while not all(future.done() for future in running):
            highest = max(highest, memory(stack))
            time.sleep(0.02)
        for future in running:
            future.result()
    growth = highest - before
    report.add(
        "API process, growth with 8 tus uploads at once", f"{growth / MB:.1f} MB",
        floor=f"{before / MB:.0f} MB before", target="<= 24 MB", reached=growth <= 24 * MB,
    )  # fmt: skip


def _take_over(stack: Stack, report: Report) -> None:
    say("asking for the offset of an upload whose connection hangs")
    address = urlsplit(stack.api_url)
    times = []
    with httpx.Client(base_url=stack.api_url, timeout=60) as client:
        for _ in range(5):
            location = _create(client)
            with socket.create_connection((str(address.hostname), address.port or 0)) as hanging:
                hanging.sendall(
                    f"PATCH {location} HTTP/1.1\r\nHost: localhost\r\nTus-Resumable: 1.0.0\r\n"
                    f"Content-Type: {TYPE['Content-Type']}\r\nUpload-Offset: 0\r\n"
                    f"Content-Length: {len(BODY)}\r\n\r\n".encode()
                )
                hanging.sendall(BODY[: 3 * MB])
                time.sleep(1)
                started = time.perf_counter()
                client.head(location, headers=TUS).raise_for_status()
                times.append(time.perf_counter() - started)
            client.delete(location, headers=TUS)
    report.add(
        "tus, taking over from a request that hangs", f"{max(times):.2f} s at most",
        floor="0.5 s (how often a request looks whether it is asked)",
        target="<= 2 s", reached=max(times) <= 2,
    )  # fmt: skip
