"""A client for the HTTP API that works in an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Unpack

import httpx

from detect_api.client import pictures, routes, upload
from detect_api.client.errors import ClientError, refusal
from detect_api.client.events import FINISHED, REOPEN_SECONDS, Event, Following
from detect_api.client.flow import Json
from detect_api.client.memory import state_folder
from detect_api.client.options import Options, Upload, UploadOptions
from detect_api.client.source import VideoFile
from detect_api.client.tally import Progress, Tally
from detect_api.client.tasks import Tasks


class AsyncClient:
    """One detect-api server, as ``Client``, which says more about each method.

    Use it in an ``async with`` block, or close it; in one event loop. Cancelling a task ends what
    it does, and what is needed to go on with an upload stays.
    """

    def __init__(self, url: str, *, key: str | None = None, state: Path | None = None) -> None:
        self._url = url.rstrip("/")
        self._state = state or state_folder()
        self._tasks = Tasks(self._url, key)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections."""
        await self._tasks.close()

    async def config(self) -> Json:
        """Limits and ways of uploading."""
        return await self._tasks.run(routes.config())

    async def upload(
        self,
        path: Path | str,
        parameters: Json | None = None,
        *,
        on_progress: Progress | None = None,
        **options: Unpack[UploadOptions],
    ) -> Upload:
        """Uploads a video in the way that fits its size and the server, and has it read."""
        wanted = Options(self._state, parameters or {}, **options)
        return await self._tasks.run(upload.upload(self._url, Path(path), wanted, on_progress))

    async def process(
        self,
        path: Path | str,
        parameters: Json | None = None,
        on_progress: Progress | None = None,
    ) -> Json:
        """Uploads a video and has it read; returns the created job as the routes do."""
        return (await self.upload(path, parameters, on_progress=on_progress)).created()

    async def upload_to_s3(self, path: Path | str, on_progress: Progress | None = None) -> Json:
        """Uploads a video with one pre-signed form and no more; returns that form."""
        video = VideoFile.at(Path(path))
        return await self._tasks.run(upload.presigned(video, Tally(video.size, on_progress)))

    async def process_uploaded(self, s3_key: str, parameters: Json | None = None) -> Json:
        """Has a video that lies in S3 read; returns the created job."""
        return await self._tasks.run(upload.process_uploaded(s3_key, parameters or {}))

    async def upload_through_api(
        self,
        path: Path | str,
        parameters: Json | None = None,
        on_progress: Progress | None = None,
    ) -> Json:
        """Uploads a video through the API in one request and has it read; returns the job."""
        video = VideoFile.at(Path(path))
        tally = Tally(video.size, on_progress)
        return await self._tasks.run(upload.through_api(video, parameters or {}, tally))

    async def job(self, job_id: str) -> Json:
        """A job's state."""
        return await self._tasks.run(routes.job(job_id))

    def jobs(self, **filters: str | int | Sequence[str]) -> AsyncIterator[Json]:
        """Jobs, the newest first; fetched page by page. Filters are those of ``GET /jobs``."""
        return self._entries(routes.jobs(filters))

    async def cancel(self, job_id: str) -> Json:
        """Ends a job."""
        return await self._tasks.run(routes.act(job_id, "cancel"))

    async def retry(self, job_id: str) -> Json:
        """Starts a failed or cancelled job again."""
        return await self._tasks.run(routes.act(job_id, "retry"))

    async def delete(self, job_id: str) -> Json:
        """Deletes a job and all that belongs to it; returns what that was."""
        return await self._tasks.run(routes.delete(job_id))

    async def follow(self, job_id: str, *, seconds: float | None = None) -> AsyncIterator[Event]:
        """The job's events, (name, data), until it has ended."""
        following = Following(job_id, seconds)
        while True:
            try:
                async for event in self._events(following):
                    yield event
                if (await self.job(job_id))["status"] in FINISHED:
                    return
                await asyncio.sleep(REOPEN_SECONDS)
            except (httpx.HTTPError, ClientError) as error:
                await asyncio.sleep(following.pause(error))

    async def wait(
        self,
        job_id: str,
        on_progress: Callable[[Json], None] | None = None,
        *,
        seconds: float | None = None,
    ) -> Json:
        """The job, once it has ended; ``on_progress`` gets its state whenever that changes."""
        async for name, data in self.follow(job_id, seconds=seconds):
            if name == "progress" and on_progress is not None:
                on_progress(data)
        return await self.job(job_id)

    async def result(self, job_id: str) -> Json:
        """A job's whole result."""
        return await self._tasks.run(routes.result(job_id))

    def plates(self, job_id: str) -> AsyncIterator[Json]:
        """A job's plates, also while it runs; fetched page by page."""
        return self._entries(routes.plates(job_id))

    def search(
        self,
        text: str | None = None,
        *,
        fuzzy: int = 0,
        since: str | None = None,
        until: str | None = None,
    ) -> AsyncIterator[Json]:
        """Plates of all jobs: a part of a text or a pattern, ``fuzzy`` wrong characters allowed."""
        return self._entries(routes.search(text, fuzzy, since, until))

    async def correct(self, plate_id: str, text: str, by: str | None = None) -> Json:
        """Puts a person's reading in place of the machine's; returns the plate."""
        return await self._tasks.run(routes.correct(plate_id, text, by))

    async def picture(self, url: str) -> bytes:
        """The JPEG behind a ``crop_url`` or ``frame_url``."""
        return await self._tasks.run(routes.picture(url))

    async def download_pictures(self, job_id: str, folder: Path | str) -> list[Path]:
        """Writes the pictures of a job's result into a folder; returns the files."""
        return await self._tasks.run(pictures.download_pictures(job_id, Path(folder)))

    async def export(self, job_id: str, path: Path | str, kind: str = "csv") -> None:
        """Writes a job's plates to a file, as ``csv`` or ``jsonl``."""
        await self._tasks.run(routes.export(job_id, Path(path), kind))

    async def _entries(self, pages: routes.Pages) -> AsyncIterator[Json]:
        while not pages.ended:
            for entry in await self._tasks.run(pages.next()):
                yield entry

    async def _events(self, following: Following) -> AsyncIterator[Event]:
        headers = following.headers()
        async with self._tasks.api.stream(
            "GET", following.url, headers=headers, timeout=following.timeout()
        ) as answer:
            if answer.status_code >= 400:
                await answer.aread()
                raise refusal(answer)
            async for line in answer.aiter_lines():
                if (event := following.feed(line)) is not None:
                    yield event
