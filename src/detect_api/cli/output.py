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
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130

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
def bars(*, shown: bool = True) -> Iterator[Callable[[str, bool], Advance]]:
    """Progress bars on standard error, on a terminal only: each call adds one.

    It takes a title and whether bytes are counted, and gives what moves the bar. A bar that is
    full goes away. Threads may share them.
    """
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        _Count(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[words]}"),
        console=console,
        disable=not (shown and console.is_terminal),
        transient=True,
    ) as progress:

        def add(title: str, transfer: bool) -> Advance:
            task = progress.add_task(title, total=1, words="", transfer=transfer)

            def advance(done: int, total: int, words: str = "") -> None:
                progress.update(task, completed=done, total=max(total, 1), words=words)
                if done >= total > 0:
                    progress.update(task, visible=False)

            return advance

        yield add


@contextmanager
def bar(title: str, *, shown: bool = True, transfer: bool = False) -> Iterator[Advance]:
    """One progress bar on standard error; on a terminal only."""
    with bars(shown=shown) as add:
        yield add(title, transfer)


class _Count(ProgressColumn):
    """Bytes and their speed, or a count of frames."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes = DownloadColumn()
        self._speed = TransferSpeedColumn()

    def render(self, task: Task) -> Text:
        """The text beside the bar."""
        if task.fields["transfer"]:
            return Text.assemble(self._bytes.render(task), " ", self._speed.render(task))
        return Text(f"{task.completed:.0f}/{task.total or 0:.0f}")


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
