"""How the commands speak: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

EXIT_FAILED = 1

Advance = Callable[[int, int, str], None]
"""Called with done, total and a few words."""


def say(text: str) -> None:
    """A line for people."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(text, markup=False)


def fail(detail: str, *, code: str, as_json: bool) -> typer.Exit:
    """Says what went wrong; returns the exit to raise."""
    if as_json:
        sys.stdout.write(json.dumps({"error": {"code": code, "detail": detail}}) + "\n")
    else:
        say(detail)
    return typer.Exit(EXIT_FAILED)


@contextmanager
def bar(title: str, *, shown: bool = True, transfer: bool = False) -> Iterator[Advance]:
    """A progress bar on standard error; on a terminal only."""
    console = Console(stderr=True)
    columns = (
        [DownloadColumn(), TransferSpeedColumn()]
        if transfer
        else [TextColumn("{task.completed:.0f}/{task.total:.0f}")]
    )
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *columns,
        TimeRemainingColumn(),
        TextColumn("{task.fields[words]}"),
        console=console,
        disable=not (shown and console.is_terminal),
        transient=True,
    ) as progress:
        task = progress.add_task(title, total=1, words="")

        def advance(done: int, total: int, words: str = "") -> None:
            progress.update(task, completed=done, total=max(total, 1), words=words)

        yield advance


def plates_table(plates: list[dict[str, Any]]) -> None:
    """The plates of a result, as a table on standard output."""
    table = Table("Plate", "Sure", "First seen", "Last seen", "Frames", box=None)
    for plate in plates:
        table.add_row(
            plate["text"],
            f"{plate['confidence']:.0%}",
            f"{plate['first_seen']['seconds']:.2f} s",
            f"{plate['last_seen']['seconds']:.2f} s",
            str(plate["observations"]),
        )
    if plates:
        Console(highlight=False).print(table)


def pictures_table(lines: list[dict[str, Any]]) -> None:
    """What ``detect-api read`` found in pictures, as a table on standard output."""
    table = Table("Picture", "Plate", "Sure", "Perhaps", box=None)
    for line in lines:
        for plate in line["plates"]:
            others = [c["text"] for c in plate["candidates"] if c["text"] != plate["text"]]
            table.add_row(
                line["image"], plate["text"], f"{plate['confidence']:.0%}", ", ".join(others[:2])
            )
        for unread in line["unread"]:
            table.add_row(line["image"], "unread", "", unread["reason"])
        if not line["plates"] and not line["unread"]:
            table.add_row(line["image"], "none", "", "")
    if lines:
        Console(highlight=False).print(table)
