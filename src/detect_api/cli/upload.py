"""``detect-api upload``: videos to a running server, several at once, and on after any break."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detect_api.cli import app
from detect_api.cli.output import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    Advance,
    bars,
    plates_table,
    say,
)
from detect_api.cli.process import (
    AsJson,
    EndFrame,
    FrameSkip,
    MinConfidence,
    Region,
    StartFrame,
)
from detect_api.cli.remote import DEFAULT_URL, Key, Url

if TYPE_CHECKING:
    from detect_api.client import Client

_LET_GO_SECONDS = 6.0
"""After Ctrl-C, uploads that hang in a dead connection are not waited for any longer."""


@app.command()
def upload(
    videos: Annotated[list[Path], typer.Argument(help="The video files.")],
    url: Url = DEFAULT_URL,
    key: Key = None,
    frame_skip: FrameSkip = 1,
    start_frame: StartFrame = None,
    end_frame: EndFrame = None,
    min_confidence: MinConfidence = None,
    region: Region = None,
    webhook_url: Annotated[
        str | None, typer.Option(help="Who is told when a job has ended, https://….")
    ] = None,
    auto_process: Annotated[
        bool, typer.Option(help="Have each video read, or only upload it to S3.")
    ] = True,
    resume: Annotated[
        bool, typer.Option(help="Go on with an upload that broke off, or begin anew.")
    ] = True,
    wait: Annotated[bool, typer.Option(help="Follow the jobs until they have ended.")] = True,
    at_once: Annotated[int, typer.Option(min=1, max=16, help="So many videos at a time.")] = 2,
    as_json: AsJson = False,
) -> None:
    """Upload videos to a server, have them read and show their plates.

    Exit status 0: every job completed (with --no-wait: was created). 1: something failed. 130:
    interrupted; the same command goes on where large uploads were.
    """
    from detect_api.client import Client

    given = {
        "frame_skip": frame_skip if frame_skip != 1 else None,
        "start_frame": start_frame,
        "end_frame": end_frame,
        "min_confidence": min_confidence,
        "region": region,
    }
    parameters = {name: value for name, value in given.items() if value is not None}
    wanted = {"auto_process": auto_process, "resume": resume, "webhook_url": webhook_url}
    with Client(url, key=key) as client, bars(shown=not as_json) as add:
        run = _Run(client, add, parameters, wanted, wait and auto_process, as_json)
        code = run.all(videos, at_once)
    if code:
        raise typer.Exit(code)


class _Run:
    """One call of the command. Lines come out one by one, in the order in which videos end."""

    def __init__(
        self,
        client: Client,
        add: Callable[[str, bool], Advance],
        parameters: dict[str, Any],
        options: dict[str, Any],
        wait: bool,
        as_json: bool,
    ) -> None:
        self._client = client
        self._add = add
        self._parameters = parameters
        self._options = options
        self._wait = wait
        self._as_json = as_json
        self._several = False
        self._failed = False
        self._told: set[Path] = set()
        self._printing = threading.Lock()

    def all(self, videos: list[Path], at_once: int) -> int:
        """Uploads them; returns the exit status."""
        from detect_api.client.flow import Shares

        videos = list(dict.fromkeys(videos))
        self._several = len(videos) > 1
        shares = Shares(iter(videos))
        # Daemons: after Ctrl-C nobody waits for a connection that hangs.
        threads = [
            threading.Thread(target=self._take, args=(shares.take,), daemon=True)
            for _ in range(min(at_once, len(videos)))
        ]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.1)
        except KeyboardInterrupt:
            self._client.interrupt()
            end = time.monotonic() + _LET_GO_SECONDS
            for thread in threads:
                thread.join(max(0.0, end - time.monotonic()))
            for video in videos:
                self._fail(video, "interrupted", "It was interrupted.")
            say(
                "Interrupted. The same command goes on where large uploads were; jobs that were "
                "created go on on the server: look with 'detect-api jobs'."
            )
            return EXIT_INTERRUPTED
        return EXIT_FAILED if self._failed else 0

    def _take(self, take: Callable[[], Path | None]) -> None:
        from detect_api.client import ClientError

        while (video := take()) is not None:
            try:
                self._one(video)
            except ClientError as error:
                self._fail(video, error.code, str(error))
                if error.code == "interrupted":
                    return
            except OSError as error:
                self._fail(video, "file", f"{error.strerror or error}: {video}")
            except Exception as error:  # whatever it was, it is told and the others are uploaded
                self._fail(video, "fault", f"{type(error).__name__}: {error}")

    def _one(self, video: Path) -> None:
        sent = self._add(f"Uploading {video.name}", True)
        found = self._client.upload(
            video,
            self._parameters,
            on_progress=lambda done, total: sent(done, total, ""),
            **self._options,
        )
        if not self._wait:
            self._tell(video, {**found.created(), "s3_key": found.s3_key}, found.message)
            return
        read = self._add(f"Reading {video.name}", False)
        job = self._client.wait(found.job_id, lambda state: _show(state, read))
        failed = job["status"] != "completed"
        if "result_url" not in job:
            detail = (job["error"] or {}).get("detail", job["message"])
            words = f"Job {job['job_id']} {job['status']}: {detail}"
            self._tell(video, job, words, failed=failed)
            return
        result = self._client.result(found.job_id)
        line = {**result, "status": job["status"], "error": job["error"]}
        words = f"{job['message']} Job {job['job_id']}"
        self._tell(video, line, words, failed=failed, plates=result["plates"])

    def _tell(
        self,
        video: Path,
        line: dict[str, Any],
        words: str,
        *,
        failed: bool = False,
        plates: list[dict[str, Any]] | None = None,
    ) -> None:
        """What came of a video: one line of JSON, or words and a table."""
        with self._once(video) as first:
            if not first:
                return
            self._failed = self._failed or failed
            if self._as_json:
                sys.stdout.write(json.dumps({"file": str(video), **line}) + "\n")
                sys.stdout.flush()
                return
            name = f"{video}: " if self._several else ""
            if plates is None:
                sys.stdout.write(f"{name}{words}\n")
                return
            plates_table(plates)
            say(name + words)

    def _fail(self, video: Path, code: str, detail: str) -> None:
        with self._once(video) as first:
            if not first:
                return
            self._failed = True
            if self._as_json:
                line = {"file": str(video), "error": {"code": code, "detail": detail}}
                sys.stdout.write(json.dumps(line) + "\n")
                sys.stdout.flush()
            else:
                say(f"{video}: {detail}" if self._several else detail)

    @contextmanager
    def _once(self, video: Path) -> Iterator[bool]:
        """One video speaks at a time, and each of them once."""
        with self._printing:
            first = video not in self._told
            self._told.add(video)
            yield first


def _show(state: dict[str, Any], read: Advance) -> None:
    frames = state["frames"]
    read(frames["done"], frames["total"], state["message"])
