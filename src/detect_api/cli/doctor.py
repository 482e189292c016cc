"""``detect-api doctor``: what is there, what is not, and how to mend it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from detect_api.cli import app
from detect_api.cli.settings import settings_from

if TYPE_CHECKING:
    from detect_api.core.config import Settings
    from detect_api.local.checks import Check

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object for scripts.")] = False,
) -> None:
    """Check this machine, the database and the storage, and say how to mend each.

    Exit status 1 if something fails. What the settings leave to the embedded stack is tried out
    on a throw-away one, or on the one that runs. Leaves nothing behind.
    """
    settings = settings_from()
    if not as_json:
        typer.echo("Checking (some seconds, the parts are really tried out)…", err=True)
    checks = list(all_checks(settings))
    failed = any(check.status == "fail" for check in checks)
    if as_json:
        shown = {"ok": not failed, "checks": [asdict(check) for check in checks]}
        typer.echo(json.dumps(shown, indent=1))
    else:
        print_checks(checks)
    raise typer.Exit(1 if failed else 0)


def all_checks(settings: Settings) -> Iterator[Check]:
    """Every check, one after the other."""
    from detect_api.local.checks import machine_checks
    from detect_api.local.layout import Layout, holder

    layout = Layout(settings.data_dir.expanduser().absolute())
    running = holder(layout.lock)
    yield from machine_checks(settings, running=running)
    if settings.database_url is not None and settings.storage_mode != "embedded":
        yield from _service_checks(settings)
    elif running:
        from detect_api.local.stack import attach

        yield from _service_checks(attach(settings))
    else:
        yield from _trial_checks(settings)


def _trial_checks(settings: Settings) -> Iterator[Check]:
    """The embedded parts, started for this in a folder of their own."""
    from detect_api.db.migrate import upgrade
    from detect_api.local.checks import Check
    from detect_api.local.layout import StackError
    from detect_api.local.stack import Stack

    with tempfile.TemporaryDirectory(prefix="da-", ignore_cleanup_errors=True) as folder:
        trial = settings.model_copy(update={"data_dir": Path(folder)})
        stack = Stack(trial, api=False)
        try:
            stack.start()
        except (StackError, OSError) as error:
            yield Check(
                "embedded stack", "fail", str(error),
                "If the reason is not plain, set DATABASE_URL and an S3, or ENABLE_S3=false.",
            )  # fmt: skip
            return
        try:
            names = ", ".join(stack.supervisor.names())
            yield Check("embedded stack", "ok", f"started for a trial: {names}")
            if settings.database_url is None:
                upgrade(stack.database_url)
            yield from _service_checks(stack.settings)
        finally:
            stack.stop(fast=True)


def _service_checks(settings: Settings) -> Iterator[Check]:
    from detect_api.aws.check import s3_checks
    from detect_api.local.checks import database_checks
    from detect_api.local.stack import client_host

    assert settings.database_url
    yield from database_checks(settings.database_url)
    if settings.storage_mode != "directory":
        own = f"http://{client_host(settings.host)}:{settings.port}"
        origins = [origin for origin in settings.cors_origin_list if origin != "*"]
        yield from s3_checks(settings, origins=[origins[0] if origins else own])


def print_checks(checks: list[Check]) -> None:
    """A table of what was found, and the verdict."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading in ("", "what", "finding"):
        table.add_column(heading, overflow="fold")
    for check in checks:
        finding = Text(check.detail)
        if check.advice and check.status != "ok":
            finding.append(f"\n→ {check.advice}", style="bold")
        table.add_row(Text(check.status, style=COLOURS[check.status]), check.name, finding)
    console = Console()
    console.print(table)
    worst = sum(check.status == "fail" for check in checks)
    console.print("All is well." if not worst else f"{worst} of {len(checks)} checks failed.")
