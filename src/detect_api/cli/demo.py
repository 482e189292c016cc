"""``detect-api demo``: the whole way of a video, on a stack of its own that is gone afterwards."""

from __future__ import annotations

import json
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detect_api.cli import app
from detect_api.cli.output import EXIT_INTERRUPTED

if TYPE_CHECKING:
    from detect_api.cli.output import Advance
    from detect_api.client import Client
    from detect_api.core.config import Settings

LINE_SECONDS = 5.0
"""Without a terminal, progress is a line so often."""


@app.command()
def demo(
    video: Annotated[
        Path | None, typer.Argument(help="A video to read; without it, a clip is drawn.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("out"),
) -> None:
    """Show the service at work: bring it up, upload a video to S3, read it, show its plates.

    Exit status 0 only if the plates found are those in the drawn clip; with VIDEO, if the job
    completed. The database and the storage are temporary; the pictures stay.
    """
    from detect_api.client import ClientError
    from detect_api.local.layout import StackError

    if video is not None and not video.is_file():
        typer.echo(f"There is no file {video}.", err=True)
        raise typer.Exit(1)
    signal.signal(signal.SIGTERM, _interrupt)
    folder = out / f"demo-{datetime.now():%Y%m%d-%H%M%S}"  # noqa: DTZ005 (a name for people here)
    try:
        folder.mkdir(parents=True)
        succeeded = _Demo(folder, video).run()
    except (StackError, ClientError, OSError) as error:
        typer.echo(f"The demo failed: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo("Interrupted; everything was stopped.", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    raise typer.Exit(0 if succeeded else 1)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def demo_settings(data_dir: Path, video_bytes: int) -> Settings:
    """Settings of an embedded stack, whatever the environment and ``.env`` name."""
    from detect_api.core.config import Settings

    standard = Settings.model_fields["max_file_size"].default
    return Settings(
        _env_file=None,
        data_dir=data_dir,
        host="127.0.0.1",
        port=0,
        workers=1,
        enable_s3=None,
        s3_bucket_name=None,
        s3_endpoint_url=None,
        s3_public_endpoint_url=None,
        s3_use_accelerate=False,
        database_url=None,
        log_file=None,
        max_file_size=max(standard, video_bytes),
        segment_seconds=2.0,  # so that plates appear while the rest is still being read
    )


class _Demo:
    """One run; what it says goes to standard output, a line for each thing waited for."""

    def __init__(self, folder: Path, video: Path | None) -> None:
        self._folder = folder
        self._given = video
        self._began = time.monotonic()

    def run(self) -> bool:
        """Whether the demo shows what it should."""
        from detect_api.client import Client
        from detect_api.local.stack import Stack

        video, expected = self._video()
        with tempfile.TemporaryDirectory(prefix="da-", ignore_cleanup_errors=True) as data_dir:
            settings = demo_settings(Path(data_dir), video.stat().st_size)
            self._say("Bringing up the stack (temporary, on free ports)")
            stack = Stack(settings, report=lambda sentence: self._say(f"  {sentence}"))
            stack.start()
            try:
                with Client(stack.api_url) as client:
                    job, result = self._process(client, video)
                    if result is not None:
                        self._keep(client, result)
            finally:
                self._say("Stopping the stack")
                stack.stop(fast=True)
        return self._show(job, result, expected)

    def _video(self) -> tuple[Path, list[str]]:
        from detect_api.vision.sample import make_sample

        if self._given is not None:
            return self._given, []
        self._say("Drawing a traffic clip of 8 seconds with known plates")
        path = self._folder / "sample.mp4"
        return path, make_sample(path)

    def _process(self, client: Client, video: Path) -> tuple[dict[str, Any], dict[str, Any] | None]:
        size = video.stat().st_size
        self._say(f"Uploading {video.name} ({size / 1e6:.1f} MB) straight to S3")
        with _progress("Uploading", transfer=True) as sent:
            form = client.upload_to_s3(video, lambda done, total: sent(done, total, ""))
        created = client.process_uploaded(form["s3_key"])
        self._say(created["message"])
        self._say("Reading it")
        with _progress("Reading") as read:
            for name, data in client.follow(created["job_id"]):
                if name == "progress":
                    frames = data["frames"]
                    read(frames["done"], frames["total"] or 0, "")
                elif name == "plate":
                    self._say(f"  plate {data['text']} ({data['confidence']:.0%} sure)")
        job = client.job(created["job_id"])
        return job, client.result(job["job_id"]) if job.get("result_url") else None

    def _keep(self, client: Client, result: dict[str, Any]) -> None:
        self._say("Fetching the pictures")
        for number, plate in enumerate(result["plates"], 1):
            name = f"{number:02}-{re.sub(r'[^A-Za-z0-9]', '_', plate['text'])}"
            for kind in ("crop", "frame"):
                picture = client.picture(plate[f"{kind}_url"])
                (self._folder / f"{name}-{kind}.jpg").write_bytes(picture)
        (self._folder / "result.json").write_text(json.dumps(result, indent=1))

    def _show(
        self, job: dict[str, Any], result: dict[str, Any] | None, expected: list[str]
    ) -> bool:
        found = result["plates"] if result else []
        completed = job["status"] == "completed"
        if not completed:
            reason = (job["error"] or {}).get("detail", job["message"])
            self._say(f"The job ended as '{job['status']}': {reason}")
        _print_table(found, expected, compare=self._given is None)
        matched = Counter(plate["text"] for plate in found) == Counter(expected)
        if self._given is None:
            self._say("All plates were found." if matched else "The plates found do NOT match.")
        elif result:
            statistics = result["statistics"]
            self._say(
                f"{statistics['unique_plates']} plates read, {statistics['unread_tracks']} seen "
                f"but not read, in {statistics['processed_frames']} frames."
            )
        self._say(f"Pictures and result.json: {self._folder}/")
        self._say("Go on with your own video: make demo VIDEO=path")
        self._say("Run the service: make serve, then open http://127.0.0.1:8000/docs")
        return completed and (matched or self._given is not None)

    def _say(self, line: str) -> None:
        print(f"[{time.monotonic() - self._began:5.1f} s] {line}", flush=True)


@contextmanager
def _progress(title: str, *, transfer: bool = False) -> Iterator[Advance]:
    """A bar on a terminal; elsewhere a line every now and then, and one at the end."""
    from detect_api.cli.output import bar

    if sys.stderr.isatty():
        with bar(title, transfer=transfer) as advance:
            yield advance
        return
    told = (time.monotonic(), -1)

    def lines(done: int, total: int, _words: str = "") -> None:
        nonlocal told
        percent = round(100 * done / total) if total else 0
        now = time.monotonic()
        if percent != told[1] and (percent == 100 or now - told[0] >= LINE_SECONDS):
            told = (now, percent)
            print(f"  {title}: {percent} %", flush=True)

    yield lines


def _print_table(found: list[dict[str, Any]], expected: list[str], *, compare: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    for heading in (["put in"] if compare else []) + ["found", "sure", "first seen", "frames"]:
        table.add_column(heading)
    missing = list(expected)
    for plate in found:
        text = plate["text"]
        row = [
            text, f"{plate['confidence']:.0%}", f"{plate['first_seen']['seconds']:.2f} s",
            str(plate["observations"]),
        ]  # fmt: skip
        if compare:
            row.insert(0, text if text in missing else "-")
        if text in missing:
            missing.remove(text)
        table.add_row(*row)
    for text in missing:
        table.add_row(text, "-", "", "", "")
    Console(highlight=False).print(table)
