"""The routes that answer at once, as flows. docs/API.md describes what they take and answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from detect_api.client.flow import Call, Fetch, Flow, Json, Patience, answer, ask, patiently

Filters = dict[str, str | int | Sequence[str]]


def config() -> Flow[Json]:
    """Limits and ways of uploading."""
    return ask("GET", "/config")


def job(job_id: str) -> Flow[Json]:
    """A job's state."""
    return ask("GET", _job(job_id))


def act(job_id: str, action: str) -> Flow[Json]:
    """``cancel`` or ``retry``."""
    return ask("POST", _job(job_id, action))


def delete(job_id: str) -> Flow[Json]:
    """Deletes a job and all that belongs to it."""
    return ask("DELETE", _job(job_id))


def result(job_id: str) -> Flow[Json]:
    """A job's whole result."""
    return ask("GET", _job(job_id, "result"))


def correct(plate_id: str, text: str, by: str | None) -> Flow[Json]:
    """A person's reading in place of the machine's."""
    body = {"text": text} if by is None else {"text": text, "by": by}
    return ask("PATCH", f"/plates/{quote(plate_id, safe='')}", json=body)


def picture(url: str) -> Flow[bytes]:
    """The JPEG behind a ``crop_url`` or ``frame_url``."""
    return (yield from answer(Call("GET", url))).content


def export(job_id: str, path: Path, kind: str) -> Flow[None]:
    """Writes a job's plates to a file, as ``csv`` or ``jsonl``."""
    if kind not in ("csv", "jsonl"):
        raise ValueError("kind is csv or jsonl")
    return patiently(lambda: fetch(_job(job_id, f"plates.{kind}"), path), Patience(tries=3))


def fetch(url: str, path: Path) -> Flow[None]:
    """Writes what lies behind an address to a file. Raises ClientError."""
    yield Fetch(url, path)


class Pages:
    """A list that the server gives page by page."""

    def __init__(self, url: str, name: str, filters: Filters) -> None:
        self._url = url
        self._name = name
        self._filters = filters
        self._cursor: str | None = None
        self.ended = False

    def next(self) -> Flow[list[Json]]:
        """The entries of the next page."""
        more = {} if self._cursor is None else {"cursor": self._cursor}
        page = yield from ask("GET", self._url, params={**self._filters, **more})
        self._cursor = page["next_cursor"]
        self.ended = self._cursor is None
        entries: list[Json] = page[self._name]
        return entries


def jobs(filters: Filters) -> Pages:
    """Jobs, the newest first."""
    return Pages("/jobs", "jobs", filters)


def plates(job_id: str) -> Pages:
    """A job's plates, in order."""
    return Pages(_job(job_id, "plates"), "plates", {"limit": 500})


def search(text: str | None, fuzzy: int, since: str | None, until: str | None) -> Pages:
    """Plates of all jobs."""
    wanted = {"text": text, "fuzzy": fuzzy or None, "from": since, "to": until}
    given: Filters = {name: value for name, value in wanted.items() if value is not None}
    return Pages("/plates", "plates", {**given, "limit": 500})


def _job(job_id: str, what: str = "") -> str:
    return f"/jobs/{quote(job_id, safe='')}" + (f"/{what}" if what else "")
