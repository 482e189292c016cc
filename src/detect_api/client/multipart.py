"""Uploading a large video to S3 in parts, several at a time, and going on after any break."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count, islice

import httpx

from detect_api.client.errors import ClientError
from detect_api.client.flow import (
    UPLOAD_TIMEOUT,
    Call,
    Flow,
    Json,
    Shares,
    Together,
    Wait,
    Work,
    ask,
    patiently,
)
from detect_api.client.memory import Memory, Remembered
from detect_api.client.options import Options, Upload
from detect_api.client.source import Slice, VideoFile
from detect_api.client.store import broken, refused
from detect_api.client.tally import Tally

BATCH_BYTES = 64 * 1024 * 1024
BATCH_PARTS = 16
"""A worker has so many parts signed at once. Their checksums are computed before, and the file is
then still in the system's cache when it is sent."""

SIGNATURES = 4
"""How often a part that storage refuses is signed anew before its refusal is believed."""

ROUNDS = 3
"""How often parts that the store does not have after all are sent again."""

_OVER = ("cancelled", "expired", "failed")
_ARRIVING = ("awaiting_upload", "uploading")
_NEW_SIGNATURE = (400, 401, 403)
"""Answers after which a part gets a new checksum and signature: the old ones may have expired, or
the bytes were damaged on their way."""


def upload(video: VideoFile, options: Options, tally: Tally, memory: Memory) -> Flow[Upload]:
    """Uploads a video in parts; returns when S3 has it whole. Raises ClientError."""
    view = yield from _begin(video, options, memory)
    if view["status"] in _ARRIVING:
        yield from _send(view, video, options, tally)
    upload_id = view["upload_id"]
    for number in count(1):
        video.check()
        try:
            done = yield from patiently(lambda: _complete(upload_id), options.patience)
            break
        except ClientError as error:
            if error.status != 409 or number >= ROUNDS:
                raise
            view = yield from _view(upload_id, options)
            if view["status"] not in _ARRIVING or not _missing(view):
                raise
        yield from _send(view, video, options, Tally(video.size, None))
    memory.forget()
    job_id = done.get("processing_job_id")
    message = f"{video.name} lies in S3 as {done['s3_key']}."
    return Upload("s3-multipart", job_id or upload_id, done["s3_key"], job_id is not None, message)


def _begin(video: VideoFile, options: Options, memory: Memory) -> Flow[Json]:
    """The upload to go on with, as the server sees it: the remembered one, or a new one."""
    wishes: Json = {
        "auto_process": options.auto_process,
        "checksum": options.checksum,
        **options.processing,
    }
    known = memory.read()
    if known is not None and not (options.resume and known.fits("s3-multipart", video, wishes)):
        yield from _drop(known)
        known = None
    if known is not None:
        view = yield from _known(known, video, options, memory)
        if view is not None:
            return view
    known = Remembered("s3-multipart", video.size, video.mtime_ns, wishes, key=str(uuid.uuid4()))
    # Before the server is asked: a client that is killed while it waits asks with the same key
    # again, and is given the same upload.
    memory.write(known)
    return (yield from _create(known, video, options, memory))


def _known(
    known: Remembered, video: VideoFile, options: Options, memory: Memory
) -> Flow[Json | None]:
    """The remembered upload; None if it is gone or over."""
    try:
        if known.upload_id is None:
            view = yield from _create(known, video, options, memory)
        else:
            view = yield from _view(known.upload_id, options)
    except ClientError as error:
        if error.status in (404, 410, 422):
            return None
        raise
    return None if view["status"] in _OVER and not view.get("processing_job_id") else view


def _create(known: Remembered, video: VideoFile, options: Options, memory: Memory) -> Flow[Json]:
    """The upload that the server gives for this key: a new one, or the one it gave before."""
    body = {
        "filename": video.name,
        "file_size": video.size,
        "content_type": video.content_type,
        **{name: value for name, value in known.wishes.items() if value is not None},
    }
    headers = {"Idempotency-Key": known.key}
    try:
        created = yield from patiently(
            lambda: ask("POST", "/uploads", json=body, headers=headers), options.patience
        )
    except ClientError as error:
        if error.refused:
            memory.forget()
        raise
    memory.write(replace(known, upload_id=created["upload_id"]))
    return (yield from _view(created["upload_id"], options))


def _drop(known: Remembered) -> Flow[None]:
    """Has the server give up an upload that nobody will go on with. Best effort: it expires."""
    if known.kind != "s3-multipart" or known.upload_id is None:
        return
    try:
        yield from ask("DELETE", f"/uploads/{known.upload_id}")
    except ClientError:
        return


def _view(upload_id: str, options: Options) -> Flow[Json]:
    return (yield from patiently(lambda: ask("GET", f"/uploads/{upload_id}"), options.patience))


def _complete(upload_id: str) -> Flow[Json]:
    return ask("POST", f"/uploads/{upload_id}/complete", json={}, timeout=UPLOAD_TIMEOUT)


def _size(view: Json, number: int) -> int:
    """Bytes of a part: only the last is shorter."""
    rest: int = view["file_size"] - (number - 1) * view["part_size"]
    return min(int(view["part_size"]), rest)


def _missing(view: Json) -> list[int]:
    """Numbers of the parts that the store does not have in their full size."""
    there = {part["part_number"]: part["size"] for part in view["received"]}
    return [n for n in range(1, view["parts"] + 1) if there.get(n) != _size(view, n)]


def _send(view: Json, video: VideoFile, options: Options, tally: Tally) -> Flow[None]:
    """Sends the parts that the store does not have."""
    missing = _missing(view)
    tally.add(video.size - sum(_size(view, number) for number in missing))
    batches = Shares(_batches(missing, view["part_size"], options.parallel))
    sender = _Sender(view, video, options, tally)
    workers = min(options.parallel, len(missing))
    yield Together([sender.work(batches) for _ in range(workers)])


def _batches(numbers: Sequence[int], part_size: int, parallel: int) -> Iterator[list[int]]:
    """Runs of parts to be signed at once; short ones at the end, so that all end together."""
    most = max(1, min(BATCH_PARTS, BATCH_BYTES // part_size))
    left = iter(numbers)
    rest = len(numbers)
    while rest:
        batch = list(islice(left, max(1, min(most, rest // (2 * parallel)))))
        rest -= len(batch)
        yield batch


@dataclass(frozen=True)
class _Signed:
    """Where and how a part is sent; not after ``until`` on this process's clock."""

    url: str
    headers: dict[str, str]
    until: float


class _Sender:
    """Sends parts of one upload."""

    def __init__(self, view: Json, video: VideoFile, options: Options, tally: Tally) -> None:
        self._view = view
        self._video = video
        self._options = options
        self._tally = tally

    def work(self, batches: Shares[list[int]]) -> Flow[None]:
        """Sends batch after batch until none is left."""
        while (batch := batches.take()) is not None:
            signed = yield from self._sign(batch)
            for number in batch:
                yield from self._send(number, signed[number])

    def _sign(self, numbers: list[int]) -> Flow[dict[int, _Signed]]:
        body: Json = {"part_numbers": numbers}
        kind = self._view["checksum"]
        if kind is not None:
            checksums = {}
            for number in numbers:
                part = self._part(number)
                checksums[str(number)] = yield Work(partial(part.checksum, kind))
            body["checksums"] = checksums
        url = f"/uploads/{self._view['upload_id']}/parts"
        found = yield from patiently(lambda: ask("POST", url, json=body), self._options.patience)
        until = time.monotonic() + 0.9 * found["expires_in"]
        return {
            part["part_number"]: _Signed(part["url"], part["headers"], until)
            for part in found["parts"]
        }

    def _part(self, number: int) -> Slice:
        offset = (number - 1) * self._view["part_size"]
        return self._video.slice(offset, _size(self._view, number))

    def _send(self, number: int, signed: _Signed) -> Flow[None]:
        """Sends one part until the store has it. Raises ClientError."""
        refusals = 0
        for tried in count(1):
            if time.monotonic() > signed.until:
                signed = (yield from self._sign([number]))[number]
            problem = yield from self._try(number, signed)
            if problem is None:
                return
            if problem.status == 404:
                raise ClientError(
                    "The upload was cancelled, or has expired, while parts were still being sent: "
                    "upload the video again.",
                    code="upload_over",
                    status=404,
                ) from problem
            anew = problem.status in _NEW_SIGNATURE
            refusals += anew
            again = problem.temporary or (anew and refusals < SIGNATURES)
            if not again or tried >= self._options.patience.tries:
                raise problem
            yield Wait(self._options.patience.pause(tried))
            if anew:
                signed = (yield from self._sign([number]))[number]

    def _try(self, number: int, signed: _Signed) -> Flow[ClientError | None]:
        """Sends one part once; returns what went wrong."""
        attempt = self._tally.attempt()
        call = Call(
            "PUT", signed.url, headers=signed.headers, body=self._part(number),
            on_sent=attempt.add, timeout=UPLOAD_TIMEOUT, store=True,
        )  # fmt: skip
        try:
            found: httpx.Response = yield call
        except httpx.HTTPError as error:
            problem = broken(error)
        else:
            if found.status_code < 300:
                return None
            problem = refused(found)
        attempt.undo()
        return problem
