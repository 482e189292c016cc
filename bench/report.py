"""How a figure is shown: beside its floor, and beside what was asked for."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter


@dataclass(frozen=True)
class Figure:
    """One measurement. ``reached`` tells whether the target was, on this machine in this run."""

    name: str
    value: str
    floor: str
    target: str
    reached: bool


class Report:
    """Prints figures as they come, and keeps them."""

    def __init__(self) -> None:
        self.figures: list[Figure] = []

    def add(self, name: str, value: str, *, floor: str, target: str, reached: bool) -> None:
        """Shows a figure."""
        self.figures.append(Figure(name, value, floor, target, reached))
        mark = "reached" if reached else "NOT reached"
        sys.stdout.write(f"{name}\n    {value}   floor: {floor}   target: {target}: {mark}\n")
        sys.stdout.flush()

    def save(self, path: Path) -> None:
        """Writes all figures as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([asdict(figure) for figure in self.figures], indent=1) + "\n")


def say(text: str) -> None:
    """What is being measured now."""
    sys.stdout.write(f"… {text}\n")
    sys.stdout.flush()


def median_ms(action: Callable[[], object], rounds: int) -> float:
    """Median time of an action in milliseconds, after a tenth of the rounds to warm up."""
    times = []
    for number in range(rounds + rounds // 10):
        started = perf_counter()
        action()
        if number >= rounds // 10:
            times.append(perf_counter() - started)
    return statistics.median(times) * 1000
