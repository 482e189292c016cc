"""``detect-api serve``: the whole service on this machine, until Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from detect_api.cli import app
from detect_api.cli.settings import settings_from

if TYPE_CHECKING:
    from detect_api.core.config import Settings
    from detect_api.local.stack import Stack

LOOPBACK_HOSTS = {"127.0.0.1", "localhost", "::1"}


@app.command()
def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; overrides HOST.", show_default=False)
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Port, 0 for a free one; overrides PORT.", show_default=False
        ),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Where all data lie; overrides DATA_DIR.", show_default=False),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0, max=256, help="Worker processes; overrides WORKERS.", show_default=False
        ),
    ] = None,
) -> None:
    """Run the service: database, storage, API and workers.

    What the settings name (DATABASE_URL, an S3 bucket) is used; what they leave open is brought
    along and kept in DATA_DIR. Ctrl-C stops everything.
    """
    from detect_api.local.stack import Stack

    settings = settings_from(host=host, port=port, data_dir=data_dir, workers=workers)
    stack = Stack(settings, report=lambda sentence: say(f"  {sentence}"))
    raise typer.Exit(Session(stack, settings).run())


def say(line: str) -> None:
    """Print a line at once; a terminal that went away is no reason to stop serving."""
    with contextlib.suppress(OSError, ValueError):
        print(line, flush=True)


class _StopAsked(BaseException):
    """Ctrl-C or SIGTERM while the stack was still starting."""


class Session:
    """One run of the stack between its start and the signal that ends it."""

    def __init__(self, stack: Stack, settings: Settings) -> None:
        self._stack = stack
        self._settings = settings
        self._stop = threading.Event()
        self._starting = True

    def run(self) -> int:
        """Serve until a signal; returns the exit status."""
        from detect_api.local.layout import StackError

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores SIGHUP for us
                signal.signal(number, self._on_signal)
        say(f"Starting detect-api; its data lie in {self._stack.layout.root}")
        try:
            self._stack.start()
            self._starting = False
        except (StackError, OSError) as error:
            print(error, file=sys.stderr, flush=True)
            return 1
        except _StopAsked:
            self._stack.stop(fast=True)
            say("Stopped.")
            return 0
        self._announce()
        while self._stack.alive and not self._stop.wait(0.5):
            pass
        if self._stop.is_set():
            say("Stopping (again Ctrl-C: at once)")
        self._stack.stop()
        if self._stack.failure:
            print(self._stack.failure.detail, file=sys.stderr, flush=True)
            return 1
        say("Stopped.")
        return 0

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._stop.is_set():
            self._stack.hurry()
            return
        self._stop.set()
        if self._starting:
            raise _StopAsked

    def _announce(self) -> None:
        url = self._stack.api_url
        if (
            self._settings.storage_mode == "embedded"
            and self._settings.host not in LOOPBACK_HOSTS
            and not self._settings.s3_public_endpoint_url
        ):
            say(
                "Note: the embedded S3 answers on this machine only. Clients elsewhere upload "
                "through the API, or set an S3 that they can reach."
            )
        say(f"detect-api is ready at {url} (docs: {url}/docs)")
        say(f"Logs: {self._stack.layout.logs}. Stop with Ctrl-C.")
