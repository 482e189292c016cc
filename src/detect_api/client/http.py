"""A client for the HTTP API."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from detect_api.client.form import FileForm, Progress
from detect_api.core.ids import VIDEO_TYPES, extension_of

FINISHED = ("completed", "failed", "cancelled", "expired")

_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_UPLOAD_TIMEOUT = httpx.Timeout(120.0, connect=10.0)
_SILENCE = httpx.Timeout(60.0, connect=10.0)
_RECONNECTS = 30

Json = dict[str, Any]


class ClientError(Exception):
    """The server, or storage, did not do what it was asked; the text says what to do.

    ``refused`` tells that it answered, with no: asking again would not help.
    """

    def __init__(self, detail: str, *, refused: bool = False) -> None:
        super().__init__(detail)
        self.refused = refused


class Client:
    """One detect-api server. Use it in a ``with`` block, or close it."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url.rstrip("/"), timeout=_TIMEOUT)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def config(self) -> Json:
        """Limits and ways of uploading."""
        return self._json("GET", "/config")

    def job(self, job_id: str) -> Json:
        """A job's state."""
        return self._json("GET", f"/jobs/{job_id}")

    def jobs(self, **filters: str | int) -> Iterator[Json]:
        """Jobs, the newest first; fetched page by page."""
        cursor: str | None = None
        while True:
            page = self._json("GET", "/jobs", params={**filters, **_given(cursor=cursor)})
            yield from page["jobs"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def result(self, job_id: str) -> Json:
        """A job's whole result."""
        return self._json("GET", f"/jobs/{job_id}/result")

    def cancel(self, job_id: str) -> Json:
        """Ends a job."""
        return self._json("POST", f"/jobs/{job_id}/cancel")

    def retry(self, job_id: str) -> Json:
        """Starts a failed or cancelled job again."""
        return self._json("POST", f"/jobs/{job_id}/retry")

    def delete(self, job_id: str) -> Json:
        """Deletes a job and all that belongs to it; returns what that was."""
        return self._json("DELETE", f"/jobs/{job_id}")

    def picture(self, url: str) -> bytes:
        """The JPEG behind a ``crop_url`` or ``frame_url``."""
        return self._request("GET", url).content

    def process(
        self, path: Path, parameters: Json | None = None, on_progress: Progress | None = None
    ) -> Json:
        """Uploads a video, straight to S3 where that is on, and has it processed.

        Returns the created job. Raises ClientError, also for what is not a video by its name.
        """
        if "s3" in self.config()["upload_methods"]:
            key = self.upload_to_s3(path, on_progress)["s3_key"]
            return self.process_uploaded(key, parameters)
        return self.upload_through_api(path, parameters, on_progress)

    def upload_to_s3(self, path: Path, on_progress: Progress | None = None) -> Json:
        """Uploads a video with a pre-signed form; returns that form."""
        kind = VIDEO_TYPES.get(extension_of(path.name), "application/octet-stream")
        form = self._json(
            "POST",
            "/process/video/upload/s3/presigned-url",
            body={
                "filename": path.name,
                "file_size": path.stat().st_size,
                "content_type": kind,
            },
        )
        body = FileForm(form["upload_fields"], path, content_type=kind, on_progress=on_progress)
        try:
            answer = httpx.post(
                form["upload_url"],
                content=iter(body),
                headers=body.headers,
                timeout=_UPLOAD_TIMEOUT,
            )
        except httpx.HTTPError as error:
            raise ClientError(f"The upload to S3 broke off ({_name(error)}): try again.") from error
        if answer.status_code >= 300:
            raise ClientError(
                f"S3 refused the upload ({answer.status_code}): {answer.text[:300].strip()}"
            )
        return form

    def process_uploaded(self, s3_key: str, parameters: Json | None = None) -> Json:
        """Has a video that lies in S3 processed; returns the created job.

        Sent with an Idempotency-Key, so that a lost answer does not start a second job.
        """
        body = {"s3_key": s3_key, **(parameters or {})}
        return self._json(
            "POST", "/process/video/s3", body=body, headers={"Idempotency-Key": str(uuid.uuid4())}
        )

    def upload_through_api(
        self, path: Path, parameters: Json | None = None, on_progress: Progress | None = None
    ) -> Json:
        """Uploads a video through the API and has it processed; returns the created job."""
        fields = {name: str(value) for name, value in (parameters or {}).items()}
        kind = VIDEO_TYPES.get(extension_of(path.name), "application/octet-stream")
        body = FileForm(fields, path, content_type=kind, on_progress=on_progress)
        answer = self._request(
            "POST",
            "/process/video/upload/async",
            content=iter(body),
            headers=body.headers,
            timeout=_UPLOAD_TIMEOUT,
        )
        created: Json = answer.json()
        return created

    def follow(self, job_id: str) -> Iterator[tuple[str, Json]]:
        """The job's events, (name, data), until it has ended.

        A broken stream is taken up again where it ended, a limited number of times. Raises
        ClientError when the server stays away.
        """
        last, broken = "", 0
        while True:
            try:
                for event_id, name, data in self._events(job_id, last):
                    last, broken = event_id or last, 0
                    yield name, data
                if self.job(job_id)["status"] in FINISHED:
                    return
            except (httpx.HTTPError, ClientError) as error:
                broken += 1
                if broken > _RECONNECTS or (isinstance(error, ClientError) and error.refused):
                    raise ClientError(
                        f"The job can no longer be followed ({error}). It goes on on the server: "
                        f"look with 'detect-api jobs {job_id}'."
                    ) from error
                time.sleep(min(5.0, 0.2 * 2**broken))

    def _events(self, job_id: str, last: str) -> Iterator[tuple[str, str, Json]]:
        headers = {"Last-Event-ID": last} if last else {}
        with self._http.stream(
            "GET", f"/jobs/{job_id}/events", headers=headers, timeout=_SILENCE
        ) as answer:
            if answer.status_code >= 400:
                answer.read()
                raise _refusal(answer)
            fields: dict[str, str] = {}
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                if line and name:
                    fields[name] = value
                elif not line and "data" in fields:
                    yield fields.get("id", ""), fields.get("event", ""), json.loads(fields["data"])
                    fields = {}

    def _json(self, method: str, url: str, *, body: Json | None = None, **more: Any) -> Json:
        answer: Json = self._request(method, url, json=body, **more).json()
        return answer

    def _request(self, method: str, url: str, **more: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, url, **more)
        except httpx.HTTPError as error:
            raise ClientError(
                f"The server at {self._http.base_url} does not answer ({_name(error)}): "
                "is it running ('detect-api serve'), and is the address right?"
            ) from error
        if answer.status_code >= 400:
            raise _refusal(answer)
        return answer


def _refusal(answer: httpx.Response) -> ClientError:
    try:
        detail = str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = answer.text[:300].strip() or f"status {answer.status_code}"
    return ClientError(detail, refused=answer.status_code < 500)


def _given(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}


def _name(error: httpx.HTTPError) -> str:
    return type(error).__name__
