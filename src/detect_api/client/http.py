"""A client for the HTTP API that blocks while it works."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
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
from detect_api.client.threads import Threads


class Client:
    """One detect-api server. Use it in a ``with`` block, or close it. Threads may share it.

    Every method raises ClientError when the server, or storage, does not do what it was asked.
    ``key`` is the server's key, where it wants one. ``state`` is the folder for
    unfinished uploads; this user's own by default.
    """

    def __init__(self, url: str, *, key: str | None = None, state: Path | None = None) -> None:
        self._url = url.rstrip("/")
        self._state = state or state_folder()
        self._threads = Threads(self._url, key)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._threads.close()

    def interrupt(self) -> None:
        """Ends what other threads do with this client, soon and for good (``interrupted``).

        What is needed to go on with an upload stays.
        """
        self._threads.interrupt()

    def config(self) -> Json:
        """Limits and ways of uploading."""
        return self._threads.run(routes.config())

    def upload(
        self,
        path: Path | str,
        parameters: Json | None = None,
        *,
        on_progress: Progress | None = None,
        **options: Unpack[UploadOptions],
    ) -> Upload:
        """Uploads a video in the way that fits its size and the server, and has it read.

        ``parameters`` say how it is to be read, as for ``POST /process/video/s3``; ``options`` are
        those of ``Options``, such as ``auto_process=False`` to upload it and no more. A large
        upload that was cut off, interrupted or killed goes on when this is called again with the
        same file and parameters. ``on_progress`` gets the bytes sent and the bytes in all; it is
        called by one thread at a time, not always the same.
        """
        wanted = Options(self._state, parameters or {}, **options)
        return self._threads.run(upload.upload(self._url, Path(path), wanted, on_progress))

    def process(
        self,
        path: Path | str,
        parameters: Json | None = None,
        on_progress: Progress | None = None,
    ) -> Json:
        """Uploads a video and has it read; returns the created job as the routes do."""
        return self.upload(path, parameters, on_progress=on_progress).created()

    def upload_to_s3(self, path: Path | str, on_progress: Progress | None = None) -> Json:
        """Uploads a video with one pre-signed form and no more; returns that form."""
        video = VideoFile.at(Path(path))
        return self._threads.run(upload.presigned(video, Tally(video.size, on_progress)))

    def process_uploaded(self, s3_key: str, parameters: Json | None = None) -> Json:
        """Has a video that lies in S3 read; returns the created job."""
        return self._threads.run(upload.process_uploaded(s3_key, parameters or {}))

    def upload_through_api(
        self,
        path: Path | str,
        parameters: Json | None = None,
        on_progress: Progress | None = None,
    ) -> Json:
        """Uploads a video through the API in one request and has it read; returns the job."""
        video = VideoFile.at(Path(path))
        tally = Tally(video.size, on_progress)
        return self._threads.run(upload.through_api(video, parameters or {}, tally))

    def job(self, job_id: str) -> Json:
        """A job's state."""
        return self._threads.run(routes.job(job_id))

    def jobs(self, **filters: str | int | Sequence[str]) -> Iterator[Json]:
        """Jobs, the newest first; fetched page by page. Filters are those of ``GET /jobs``."""
        return self._entries(routes.jobs(filters))

    def cancel(self, job_id: str) -> Json:
        """Ends a job."""
        return self._threads.run(routes.act(job_id, "cancel"))

    def retry(self, job_id: str) -> Json:
        """Starts a failed or cancelled job again."""
        return self._threads.run(routes.act(job_id, "retry"))

    def delete(self, job_id: str) -> Json:
        """Deletes a job and all that belongs to it; returns what that was."""
        return self._threads.run(routes.delete(job_id))

    def follow(self, job_id: str, *, seconds: float | None = None) -> Iterator[Event]:
        """The job's events, (name, data), until it has ended.

        A broken stream is taken up again where it ended, a limited number of times. Raises
        ClientError, too, when so many ``seconds`` have passed (``timeout``).
        """
        following = Following(job_id, seconds)
        while True:
            try:
                yield from self._events(following)
                if self.job(job_id)["status"] in FINISHED:
                    return
                time.sleep(REOPEN_SECONDS)
            except (httpx.HTTPError, ClientError) as error:
                time.sleep(following.pause(error))

    def wait(
        self,
        job_id: str,
        on_progress: Callable[[Json], None] | None = None,
        *,
        seconds: float | None = None,
    ) -> Json:
        """The job, once it has ended; ``on_progress`` gets its state whenever that changes."""
        for name, data in self.follow(job_id, seconds=seconds):
            if name == "progress" and on_progress is not None:
                on_progress(data)
        return self.job(job_id)

    def result(self, job_id: str) -> Json:
        """A job's whole result."""
        return self._threads.run(routes.result(job_id))

    def plates(self, job_id: str) -> Iterator[Json]:
        """A job's plates, also while it runs; fetched page by page."""
        return self._entries(routes.plates(job_id))

    def search(
        self,
        text: str | None = None,
        *,
        fuzzy: int = 0,
        since: str | None = None,
        until: str | None = None,
    ) -> Iterator[Json]:
        """Plates of all jobs: a part of a text or a pattern, ``fuzzy`` wrong characters allowed."""
        return self._entries(routes.search(text, fuzzy, since, until))

    def correct(self, plate_id: str, text: str, by: str | None = None) -> Json:
        """Puts a person's reading in place of the machine's; returns the plate."""
        return self._threads.run(routes.correct(plate_id, text, by))

    def picture(self, url: str) -> bytes:
        """The JPEG behind a ``crop_url`` or ``frame_url``."""
        return self._threads.run(routes.picture(url))

    def download_pictures(self, job_id: str, folder: Path | str) -> list[Path]:
        """Writes the pictures of a job's result into a folder; returns the files."""
        return self._threads.run(pictures.download_pictures(job_id, Path(folder)))

    def export(self, job_id: str, path: Path | str, kind: str = "csv") -> None:
        """Writes a job's plates to a file, as ``csv`` or ``jsonl``."""
        self._threads.run(routes.export(job_id, Path(path), kind))

    def _entries(self, pages: routes.Pages) -> Iterator[Json]:
        while not pages.ended:
            yield from self._threads.run(pages.next())

    def _events(self, following: Following) -> Iterator[Event]:
        headers = following.headers()
        with self._threads.api.stream(
            "GET", following.url, headers=headers, timeout=following.timeout()
        ) as answer:
            if answer.status_code >= 400:
                answer.read()
                raise refusal(answer)
            for line in answer.iter_lines():
                if (event := following.feed(line)) is not None:
                    yield event
