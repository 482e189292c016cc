"""Following a job by its server-sent events, also over broken connections."""

from __future__ import annotations

import json
import time

import httpx

from detect_api.client.errors import ClientError, silence
from detect_api.client.flow import Json, Patience

FINISHED = ("completed", "failed", "cancelled", "expired")
REOPEN_SECONDS = 0.5
"""How soon a stream that ended before its job is opened again."""

SILENCE_SECONDS = 60.0
"""The server says something every 15 s; longer silence is a broken connection."""

Event = tuple[str, Json]
"""A name and its data."""


class Following:
    """Where a job's events have been followed to, and how often that broke.

    Fed the lines of the stream, it gives events; it decides whether to go on after a failure.
    """

    def __init__(self, job_id: str, seconds: float | None = None) -> None:
        self.job_id = job_id
        self.url = f"/jobs/{job_id}/events"
        self._patience = Patience(tries=30, first_seconds=0.4, most_seconds=5.0)
        self._end = None if seconds is None else time.monotonic() + seconds
        self._last = ""
        self._broken = 0
        self._fields: dict[str, str] = {}

    def headers(self) -> dict[str, str]:
        """The headers of the next request: events that were seen are not wanted again."""
        self._fields = {}
        return {"Last-Event-ID": self._last} if self._last else {}

    def timeout(self) -> httpx.Timeout:
        """How long the next request may be silent."""
        if self._end is None:
            return httpx.Timeout(SILENCE_SECONDS, connect=10.0)
        left = max(0.05, self._end - time.monotonic())
        return httpx.Timeout(min(SILENCE_SECONDS, left), connect=min(10.0, left))

    def feed(self, line: str) -> Event | None:
        """The event that this line ends, if it does. Raises ClientError when time is up."""
        if self._end is not None and time.monotonic() >= self._end:
            raise self.late()
        name, _, value = line.partition(": ")
        if line:
            if name:
                self._fields[name] = value
            return None
        fields, self._fields = self._fields, {}
        if "data" not in fields:
            return None
        self._last, self._broken = fields.get("id") or self._last, 0
        return fields.get("event", ""), json.loads(fields["data"])

    def pause(self, error: httpx.HTTPError | ClientError) -> float:
        """Seconds to wait before the stream is taken up again.

        Raises ClientError when it is not worth it: the server refused, or stays away.
        """
        problem = silence(error) if isinstance(error, httpx.HTTPError) else error
        if self._end is not None and time.monotonic() >= self._end:
            raise self.late() from error
        self._broken += 1
        if problem.refused or self._broken >= self._patience.tries:
            raise ClientError(
                f"The job can no longer be followed ({problem}). It goes on on the server: "
                f"look with 'detect-api jobs {self.job_id}'.",
                code=problem.code,
                status=problem.status,
                request_id=problem.request_id,
            ) from error
        return self._patience.pause(self._broken)

    def late(self) -> ClientError:
        """The job took longer than was to be waited for."""
        return ClientError(
            f"Job {self.job_id} has not ended in the time given. It goes on on the server: look "
            f"with 'detect-api jobs {self.job_id}'.",
            code="timeout",
        )
