"""What every reader is asked, and what it writes.

A reader gets one picture after the other, decoded, in one process on one core, and says which
plates it sees. The answers are lines in the form of ``detect-api read --json``, which
``detect-api evaluate --predictions`` scores, with the time that the reader took.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""uint8, shape (height, width, 3), BGR."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A text and where it stands: the upright box x1, y1, x2, y2 in pixels.

    ``text`` is as the reader wrote it; the scoring leaves [A-Z0-9] of it. ``candidates`` are all
    texts that it offers for this place with their scores, best first.
    """

    text: str
    confidence: float
    box: tuple[float, float, float, float]
    candidates: tuple[tuple[str, float], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As in ``detect-api read --json``."""
        return {
            "text": self.text,
            "confidence": self.confidence,
            "bbox": dict(zip(("x1", "y1", "x2", "y2"), self.box, strict=True)),
            "candidates": [{"text": t, "confidence": c} for t, c in self.candidates],
        }


Read = Callable[[Image], Sequence[Seen]]
"""Reads one picture."""

Load = Callable[[str | None], Read]
"""Makes a reader that expects plates of a region, or of any with None. Raises LookupError if it
cannot be told of that region; what it is asked for then is left out.
"""


def main(load: Load) -> None:
    """The program of one reader: reads the labelled pictures and writes what it saw.

    First no region is given, then the pictures that have one are read again with it. The file of
    answers appears when it is complete.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("labels", type=Path, help="JSON lines with image and perhaps region")
    parser.add_argument("out", type=Path, help="file for the answers")
    chosen = parser.parse_args()
    unfinished = chosen.out.with_suffix(".part")
    with unfinished.open("w", encoding="utf-8") as file:
        for region_given in (False, True):
            for line in _answers(chosen.labels, load, region_given=region_given):
                file.write(json.dumps(line) + "\n")
    unfinished.replace(chosen.out)


def one_core() -> None:
    """Keeps this process on one core, whatever threads a library starts.

    To be called before the library is loaded: most start a thread for each core they see.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)


def _answers(labels: Path, load: Load, *, region_given: bool) -> Iterator[dict[str, Any]]:
    readers: dict[str | None, Read | None] = {}
    rows = [json.loads(text) for text in labels.read_text(encoding="utf-8").splitlines() if text]
    for number, row in enumerate(rows, 1):
        region = row.get("region") if region_given else None
        if region_given and region is None:
            continue
        image = cv2.imread(str(labels.parent / row["image"]))
        if image is None:
            raise OSError(0, f"{row['image']} cannot be decoded")
        if region not in readers:
            readers[region] = _loaded(load, region, cast(Image, image))
        read = readers[region]
        if read is None:
            continue
        wall, processor = time.perf_counter(), time.process_time()
        seen = read(cast(Image, image))
        processor, wall = time.process_time() - processor, time.perf_counter() - wall
        yield {
            "image": row["image"],
            "region": region,
            "plates": [item.as_json() for item in seen],
            "milliseconds": {"wall": 1e3 * wall, "processor": 1e3 * processor},
        }
        if number % 50 == 0:
            sys.stderr.write(f"  {number} of {len(rows)}{f', {region}' if region else ''}\n")


def _loaded(load: Load, region: str | None, image: Image) -> Read | None:
    """A reader that has read once, so that what it puts off until then is not timed."""
    try:
        read = load(region)
    except LookupError as error:
        sys.stderr.write(f"  {error}\n")
        return None
    read(image)
    return read
