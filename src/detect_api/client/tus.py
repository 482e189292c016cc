"""Uploading a video through the API by tus 1.0, and going on after any break."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from detect_api.client import routes
from detect_api.client.errors import ClientError
from detect_api.client.flow import UPLOAD_TIMEOUT, Call, Flow, Json, Wait, answer, patiently
from detect_api.client.memory import Memory, Remembered
from detect_api.client.options import Options, Upload
from detect_api.client.source import VideoFile
from detect_api.client.tally import Attempt, Tally

MOST_AT_ONCE = 64 * 1024 * 1024
"""Bytes of one PATCH: proxies limit what a request may hold and how long it may take."""

_VERSION = {"Tus-Resumable": "1.0.0"}
_GONE = (404, 410)
_BUSY = (409, 423)
"""The offset is another one, or the request that broke off is still held on to: ask again."""

_NOT_COMPLETE = ("awaiting_upload", "uploading", "failed", "cancelled", "expired")
_BEGINNINGS = 2


def upload(
    config: Json, video: VideoFile, options: Options, tally: Tally, memory: Memory
) -> Flow[Upload]:
    """Uploads a video by tus; returns when its job is queued. Raises ClientError."""
    creation = config["tus_url"].rstrip("/")
    for _ in range(_BEGINNINGS):
        known = yield from _begin(creation, video, options, memory)
        url = known.upload_id or ""
        if (yield from _send_all(url, known.key, video, options, tally)):
            memory.forget()
            job = yield from patiently(partial(routes.job, known.key), options.patience)
            return Upload("tus", known.key, job.get("s3_key"), True, job["message"])
        memory.forget()
    raise ClientError(
        "The server forgets the upload as soon as it has begun: look into its log.",
        code="upload_over",
    )


def _begin(creation: str, video: VideoFile, options: Options, memory: Memory) -> Flow[Remembered]:
    """The upload to go on with: the remembered one, or a new one."""
    known = memory.read()
    if known is not None and not (options.resume and known.fits("tus", video, options.processing)):
        if known.kind == "tus" and known.upload_id is not None:
            yield from _drop(known.upload_id)
        known = None
    if known is not None and known.upload_id is not None:
        return known
    if known is None:
        # The id is chosen here and kept before the server is asked: a client that is killed while
        # it waits finds its upload again.
        known = Remembered(
            "tus", video.size, video.mtime_ns, dict(options.processing), key=str(uuid.uuid4())
        )
        memory.write(known)
    location = yield from _create(creation, known.key, video, options)
    known = replace(known, upload_id=location)
    memory.write(known)
    return known


def _create(creation: str, job_id: str, video: VideoFile, options: Options) -> Flow[str]:
    """The address of a new upload; of the one that is there already if the id is taken."""
    values = {
        "filename": video.name,
        "filetype": video.content_type,
        "job_id": job_id,
        **options.processing,
    }
    headers = {
        **_VERSION,
        "Upload-Length": str(video.size),
        "Upload-Metadata": ",".join(_metadata(values)),
    }
    call = Call("POST", creation, headers=headers)
    try:
        created = yield from patiently(lambda: answer(call), options.patience)
    except ClientError as error:
        if error.status == 409:
            return f"{creation}/{job_id}"
        raise
    location: str = created.headers.get("location", f"{creation}/{job_id}")
    return location


def _metadata(values: Json) -> Iterator[str]:
    for name, value in values.items():
        yield f"{name} {base64.b64encode(str(value).encode()).decode()}"


def _send_all(
    url: str, job_id: str, video: VideoFile, options: Options, tally: Tally
) -> Flow[bool]:
    """Sends what the server does not have; False if it knows nothing of the upload (any more)."""
    broken = counted = 0
    offset: int | None = None
    while True:
        if offset is None:
            offset = yield from _offset(url, job_id, video, options)
            if offset is None:
                tally.add(-counted)
                return False
            broken = 0 if offset > counted else broken
            tally.add(offset - counted)
            counted = offset
        if offset >= video.size:
            return True
        video.check()
        attempt = tally.attempt()
        try:
            offset = yield from _patch(url, video, offset, attempt)
            tally.add(offset - counted - attempt.sent)
            counted, broken = offset, 0
        except ClientError as error:
            attempt.undo()
            broken += 1
            again = error.temporary or error.status in (*_BUSY, *_GONE)
            if not again or broken >= options.patience.tries:
                raise
            offset = None
            yield Wait(options.patience.pause(broken))


def _offset(url: str, job_id: str, video: VideoFile, options: Options) -> Flow[int | None]:
    """How many bytes the server has; None if it knows nothing of the upload (any more)."""
    call = Call("HEAD", url, headers=_VERSION)
    try:
        found = yield from patiently(lambda: answer(call), options.patience)
        return int(found.headers["upload-offset"])
    except ClientError as error:
        if error.status not in _GONE:
            raise
    except (KeyError, ValueError):
        raise ClientError("The server does not tell what it has of the upload.") from None
    try:
        job = yield from patiently(lambda: routes.job(job_id), options.patience)
    except ClientError as error:
        if error.status in _GONE:
            return None
        raise
    # It may have forgotten the upload because that is complete.
    return None if job["status"] in _NOT_COMPLETE else video.size


def _patch(url: str, video: VideoFile, offset: int, attempt: Attempt) -> Flow[int]:
    """Sends bytes from the offset on; returns how many the server has then."""
    body = video.slice(offset, min(MOST_AT_ONCE, video.size - offset))
    headers = {
        **_VERSION,
        "Upload-Offset": str(offset),
        "Content-Type": "application/offset+octet-stream",
    }
    call = Call(
        "PATCH", url, headers=headers, body=body, on_sent=attempt.add, timeout=UPLOAD_TIMEOUT
    )
    found = yield from answer(call)
    return int(found.headers.get("upload-offset", offset + body.size))


def _drop(url: str) -> Flow[None]:
    """Has the server give up an upload that nobody will go on with. Best effort: it expires."""
    try:
        yield from answer(Call("DELETE", url, headers=_VERSION))
    except ClientError:
        return
