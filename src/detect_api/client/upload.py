"""Uploading a video in the way that fits its size and the server."""

from __future__ import annotations

import uuid
from functools import partial
from itertools import count
from pathlib import Path

import httpx

from detect_api.client import multipart, routes, tus
from detect_api.client.errors import ClientError
from detect_api.client.flow import (
    UPLOAD_TIMEOUT,
    Call,
    Flow,
    Json,
    Patience,
    Wait,
    answer,
    ask,
    patiently,
)
from detect_api.client.form import FileForm
from detect_api.client.memory import Memory
from detect_api.client.options import Method, Options, Upload
from detect_api.client.source import VideoFile
from detect_api.client.store import broken, refused
from detect_api.client.tally import Progress, Tally

SMALL = 16 * 1024 * 1024
"""With S3 off, what is larger goes by tus: it would be a pity to send it twice."""

MULTIPART_FROM = 104_857_600
"""For a server that names no ``multipart_threshold``."""

_FORM_TRIES = 3
_FIRST_WORD = Patience(tries=3)
"""A server that is not there is said so soon; only once it was there is it waited for."""


def upload(
    server: str, path: Path, options: Options, on_progress: Progress | None = None
) -> Flow[Upload]:
    """Uploads a video and, with ``auto_process``, has it read. Raises ClientError.

    Interrupted, killed or cut off, a large upload goes on where it was when it is called again.
    """
    video = VideoFile.at(path)
    if not video.size:
        raise ClientError(f"{video.path} is empty: is it finished?", code="empty_file")
    if options.processing and not options.auto_process:
        raise ClientError(
            "Parameters say how a video is read and who hears of it, and this one is only to be "
            "uploaded: give them when you have it processed.",
            code="usage",
        )
    config = yield from patiently(routes.config, _FIRST_WORD)
    method = options.method or choose(config, video.size)
    if method in ("tus", "api"):
        _only_with_s3(options)
    tally = Tally(video.size, on_progress)
    if method == "s3":
        return (yield from _by_form(video, options, tally))
    if method == "api":
        return (yield from _through_api(video, options, tally))
    with Memory(options.state, server, video) as memory:
        if method == "tus":
            return (yield from tus.upload(config, video, options, tally, memory))
        return (yield from multipart.upload(video, options, tally, memory))


def choose(config: Json, size: int) -> Method:
    """The way for a file of this size, by what ``GET /config`` says of the server."""
    methods = config["upload_methods"]
    if "s3" in methods:
        limit = min(config.get("multipart_threshold", MULTIPART_FROM), config["max_file_size"] + 1)
        return "s3-multipart" if size >= limit and "s3-multipart" in methods else "s3"
    return "tus" if size > SMALL and "tus" in methods else "api"


def presigned(video: VideoFile, tally: Tally, wishes: Json | None = None) -> Flow[Json]:
    """Uploads a video with a pre-signed form; returns that form. Raises ClientError."""
    wanted = {
        "filename": video.name,
        "file_size": video.size,
        "content_type": video.content_type,
        **(wishes or {}),
    }
    form = yield from ask("POST", "/process/video/upload/s3/presigned-url", json=wanted)
    body = FileForm(form["upload_fields"], video)
    yield from _send_form(form["upload_url"], body, tally, store=True)
    return form


def process_uploaded(s3_key: str, parameters: Json) -> Flow[Json]:
    """Has a video that lies in S3 read; returns the created job.

    Sent with an Idempotency-Key, so that a lost answer does not start a second job.
    """
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    body = {"s3_key": s3_key, **parameters}
    return (yield from ask("POST", "/process/video/s3", json=body, headers=headers))


def through_api(video: VideoFile, parameters: Json, tally: Tally) -> Flow[Json]:
    """Uploads a video through the API and has it read; returns the created job."""
    body = FileForm({name: str(value) for name, value in parameters.items()}, video)
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    found = yield from _send_form("/process/video/upload/async", body, tally, headers=headers)
    created: Json = found.json()
    return created


def _by_form(video: VideoFile, options: Options, tally: Tally) -> Flow[Upload]:
    wishes = {"auto_process": True, **options.processing} if options.auto_process else {}
    form = yield from presigned(video, tally, wishes)
    key = form["s3_key"]
    if not options.auto_process:
        return Upload("s3", form["job_id"], key, False, f"{video.name} lies in S3 as {key}.")
    # The server would notice by itself, as it must if this process ends now. Asking makes it look
    # at once, and gives the one job that reads the video.
    created = yield from patiently(partial(process_uploaded, key, {}), options.patience)
    return Upload("s3", created["job_id"], key, True, created["message"])


def _through_api(video: VideoFile, options: Options, tally: Tally) -> Flow[Upload]:
    created = yield from through_api(video, options.processing, tally)
    return Upload("api", created["job_id"], None, True, created["message"])


def _send_form(
    url: str,
    body: FileForm,
    tally: Tally,
    *,
    store: bool = False,
    headers: dict[str, str] | None = None,
) -> Flow[httpx.Response]:
    """Sends a form, all of it again where the connection broke. Raises ClientError."""
    for tried in count(1):
        attempt = tally.attempt()
        call = Call(
            "POST", url, headers={**body.headers, **(headers or {})}, body=body,
            on_sent=attempt.add, timeout=UPLOAD_TIMEOUT, store=store,
        )  # fmt: skip
        try:
            return (yield from (_to_store(call) if store else answer(call)))
        except ClientError as error:
            if not error.temporary or tried >= _FORM_TRIES:
                raise
        attempt.undo()
        yield Wait(tried)
    raise AssertionError("count() ends")


def _to_store(call: Call) -> Flow[httpx.Response]:
    try:
        found: httpx.Response = yield call
    except httpx.HTTPError as error:
        raise broken(error) from error
    if found.status_code >= 300:
        raise refused(found)
    return found


def _only_with_s3(options: Options) -> None:
    """Raises ClientError for wishes that a server without S3 cannot fulfil."""
    if not options.auto_process:
        raise ClientError(
            "What is uploaded through the API is always read: leave out --no-auto-process "
            "(auto_process=False), or use a server with S3.",
            code="usage",
        )
    if options.processing.get("delete_after_processing"):
        raise ClientError(
            "delete_after_processing needs a server with S3: delete the job when you have its "
            "result.",
            code="usage",
        )
