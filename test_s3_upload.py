#!/usr/bin/env python3
"""The whole way of one video, against a running detect-api: a form for S3, the upload, the plates.

    python test_s3_upload.py traffic.mp4
    python test_s3_upload.py --url http://localhost:8000 --frame-skip 2 traffic.mp4
    python test_s3_upload.py                     # with a small sample video

It needs nothing of detect-api, only ``requests``: take it as an example for your own client. The
file is read piece by piece while it is sent, so a video of any size takes no more memory than a
small one. Exit status 0: the plates were printed. 1: it says what went wrong. 2: wrong arguments.
"""

from __future__ import annotations

import argparse
import importlib
import mimetypes
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

try:
    import requests
except ImportError:
    sys.exit("This script needs the package requests: pip install requests")

PIECE = 1024 * 1024
MEGABYTE = 1024 * 1024
ENDED = {"completed", "failed", "cancelled", "expired"}


class UploadFailed(Exception):
    """The flow ended early; the message is for the person at the terminal."""


class FormBody:
    """A multipart form with one file, made while it is sent.

    It has a length and is iterated over, which is what ``requests`` needs to stream it with a
    Content-Length. (``requests.post(files=…)`` would build the whole form in memory first, and
    S3 does not take a form without Content-Length.) Fields keep their order; the file is last,
    since S3 ignores what follows it.
    """

    def __init__(
        self, fields: dict[str, str], path: Path, on_progress: Callable[[int, int], None]
    ) -> None:
        boundary = secrets.token_hex(16)
        lines = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ]
        lines.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="video"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._head = "".join(lines).encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._path = path
        self._size = path.stat().st_size
        self._on_progress = on_progress

    def __len__(self) -> int:
        return len(self._head) + self._size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        left = self._size
        with self._path.open("rb") as file:
            while left and (piece := file.read(min(PIECE, left))):
                yield piece
                left -= len(piece)
                self._on_progress(self._size - left, self._size)
        if left:
            raise UploadFailed(f"{self._path} became shorter while it was sent.")
        yield self._tail


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    try:
        with tempfile.TemporaryDirectory() as folder:
            video = options.video or sample(Path(folder))
            return run(options.url.rstrip("/") + "/", video, options)
    except UploadFailed as error:
        print(f"Failed: {error}", file=sys.stderr)
    except requests.ConnectionError as error:
        where = error.request.url if error.request is not None else options.url
        print(
            f"Failed: {origin(where)} cannot be reached, or broke the connection. Does the "
            "service run, and does --url name it?",
            file=sys.stderr,
        )
    except requests.RequestException as error:
        print(f"Failed: {type(error).__name__}; try again.", file=sys.stderr)
    except OSError as error:
        print(f"Failed: {error.strerror}: {error.filename}", file=sys.stderr)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
    return 1


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Upload a video to S3 and print its plates.")
    parser.add_argument("video", nargs="?", type=Path, help="the video; none: a small sample")
    parser.add_argument("--url", default="http://localhost:8000", help="where detect-api answers")
    parser.add_argument(
        "--key", default=os.environ.get("DETECT_API_KEY"), help="the service's key, if it wants one"
    )
    parser.add_argument("--frame-skip", type=int, default=1, help="look at every n-th frame")
    parser.add_argument("--min-confidence", type=float, help="least confidence of a text, 0 to 1")
    parser.add_argument("--timeout", type=float, default=3600, help="longest wait in seconds")
    return parser.parse_args(arguments)


def run(url: str, video: Path, options: argparse.Namespace) -> int:
    """The four steps; returns the exit status."""
    with requests.Session() as session:
        if options.key:
            session.headers["Authorization"] = f"Bearer {options.key}"
        print(f"1. Asking {origin(url)} for a form to upload {video.name}")
        form = ask_for_form(session, url, video)
        print(f"2. Uploading to bucket {form['bucket']} as {form['s3_key']}")
        upload(form, video)
        print("3. Asking for processing")
        job = ask_for_processing(session, url, form["s3_key"], options)
        print(f"4. Following job {job['job_id']}")
        ended = follow(session, url, job["status_url"], options.timeout)
        if ended.get("result_url"):
            result = answer_of(session.get(urljoin(url, ended["result_url"]), timeout=60))
            show(result, url)
    if ended["status"] == "completed":
        return 0
    error = ended.get("error") or {"code": ended["status"], "detail": ended["message"]}
    raise UploadFailed(f"the job ended as {ended['status']} ({error['code']}): {error['detail']}")


def ask_for_form(session: requests.Session, url: str, video: Path) -> dict[str, Any]:
    """Step 1: the service signs a form for exactly this file. No bytes of it are sent."""
    kind = mimetypes.guess_type(video.name)[0] or ""
    body = {
        "filename": video.name,
        "file_size": video.stat().st_size,
        "content_type": kind if kind.startswith("video/") else "video/mp4",
    }
    if not body["file_size"]:
        raise UploadFailed(f"{video} is empty.")
    where = urljoin(url, "process/video/upload/s3/presigned-url")
    return answer_of(session.post(where, json=body, timeout=30))


def upload(form: dict[str, Any], video: Path) -> None:
    """Step 2: straight to S3. A new connection: S3 must not see what the service is sent."""
    body = FormBody(form["upload_fields"], video, progress())
    answer = requests.post(
        form["upload_url"],
        data=body,
        headers={"Content-Type": body.content_type},
        timeout=(30, 300),
    )
    if answer.status_code not in (200, 201, 204):
        said = " ".join(answer.text.split())[:400]
        raise UploadFailed(f"S3 answered {answer.status_code}: {said}")


def ask_for_processing(
    session: requests.Session, url: str, key: str, options: argparse.Namespace
) -> dict[str, Any]:
    """Step 3: names the object. The Idempotency-Key makes it safe to send again."""
    body: dict[str, Any] = {"s3_key": key, "frame_skip": options.frame_skip}
    if options.min_confidence is not None:
        body["min_confidence"] = options.min_confidence
    headers = {"Idempotency-Key": secrets.token_hex(16)}
    where = urljoin(url, "process/video/s3")
    return answer_of(session.post(where, json=body, headers=headers, timeout=60))


def follow(session: requests.Session, url: str, status_url: str, timeout: float) -> dict[str, Any]:
    """Step 4: the job as it is once it has ended."""
    deadline = time.monotonic() + timeout
    shown = ""
    while True:
        job = answer_of(session.get(urljoin(url, status_url), timeout=30))
        if job["message"] != shown:
            shown = job["message"]
            print(f"   {job['progress']:4.0%}  {shown}", flush=True)
        if job["status"] in ENDED:
            return job
        if time.monotonic() > deadline:
            raise UploadFailed(f"no end after {timeout:g} s; look at {urljoin(url, status_url)}")
        time.sleep(0.5)


def show(result: dict[str, Any], url: str) -> None:
    """The plates, one a line, and what was seen but not read."""
    print(f"\nPlates read: {len(result['plates'])}")
    for plate in result["plates"]:
        print(
            f"   {plate['text']:<10}  {plate['confidence']:4.0%}  "
            f"{plate['first_seen']['seconds']:8.2f} to {plate['last_seen']['seconds']:.2f} s  "
            f"{urljoin(url, plate['crop_url'])}"
        )
    for track in result["unread"]:
        print(f"   not read ({track['reason']})  {urljoin(url, track['crop_url'])}")
    for problem in result["problems"]:
        print(f"   note: {problem}")


def answer_of(response: requests.Response) -> dict[str, Any]:
    """The JSON of a good answer. Raises UploadFailed with the service's own sentence."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        where = origin(response.url)
        raise UploadFailed(f"{where} does not answer like detect-api ({response.status_code}).")
    if not response.ok:
        raise UploadFailed(f"{body.get('detail', response.reason)} ({response.status_code})")
    return body


def progress() -> Callable[[int, int], None]:
    """Prints how far an upload is: on a terminal in one line, else a line every tenth."""
    started, last = time.monotonic(), -1
    in_place = sys.stdout.isatty()

    def report(sent: int, size: int) -> None:
        nonlocal last
        step = sent * (100 if in_place else 10) // size
        if step == last:
            return
        last = step
        speed = sent / MEGABYTE / max(time.monotonic() - started, 1e-3)
        line = f"   {sent / size:4.0%}  {sent / MEGABYTE:.1f} MB at {speed:.1f} MB/s"
        ending = "\r" if in_place and sent < size else "\n"
        print(line, end=ending, flush=True)

    return report


def sample(folder: Path) -> Path:
    """A small video with known plates, if detect-api itself is installed here."""
    try:
        module = importlib.import_module("detect_api.vision.sample")
    except ImportError:
        raise UploadFailed("name a video file: python test_s3_upload.py traffic.mp4") from None
    path = folder / "sample.mp4"
    module.make_sample(path)
    return path


def origin(url: str | None) -> str:
    """Scheme and host of a URL, without what may be secret in the rest."""
    return "/".join((url or "").split("/")[:3])


if __name__ == "__main__":
    sys.exit(main())
