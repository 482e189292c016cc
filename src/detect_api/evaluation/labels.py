"""The files that say what is right: one JSON object a line, paths relative to the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detect_api.core.errors import DetectApiError
from detect_api.vision.formats import formats
from detect_api.vision.types import Box


class LabelError(DetectApiError):
    """A labels file, or a picture that it names, cannot be used."""

    code = "labels"


@dataclass(frozen=True, slots=True)
class PictureLabel:
    """One plate of a picture: where it is and what it says.

    ``accepted`` are all texts that count as right. ``set`` groups pictures in the tables.
    ``region`` is where the plate is from, if that is known.
    """

    set: str
    image: Path
    box: Box
    accepted: tuple[str, ...]
    region: str | None


@dataclass(frozen=True, slots=True)
class VideoLabel:
    """A clip and the plates that pass in it, each once."""

    video: Path
    plates: tuple[str, ...]


def pictures(path: Path) -> list[PictureLabel]:
    """Lines with ``image``, ``box`` [x1, y1, x2, y2] and ``text``, perhaps ``set``, ``also_ok``
    and ``region``. A set whose name ends in a region's, as in ``openalpr_us``, is from there.
    Raises LabelError and OSError.
    """
    return [
        PictureLabel(
            set=str(row.get("set", "all")),
            image=path.parent / _field(path, number, row, "image"),
            box=_box(path, number, row),
            accepted=(_field(path, number, row, "text"), *row.get("also_ok", ())),
            region=_region(row),
        )
        for number, row in _rows(path)
    ]


def _region(row: dict[str, Any]) -> str | None:
    name = row.get("region") or str(row.get("set", "")).rpartition("_")[2]
    return name if formats().known(name) else None


def videos(path: Path) -> list[VideoLabel]:
    """Lines with ``video`` and ``plates``. Raises LabelError and OSError."""
    return [
        VideoLabel(
            video=path.parent / _field(path, number, row, "video"),
            plates=tuple(_field(path, number, row, "plates")),
        )
        for number, row in _rows(path)
    ]


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    found = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise _wrong(path, number, f"it is no JSON ({error})") from None
        if not isinstance(row, dict):
            raise _wrong(path, number, "it is no JSON object")
        found = True
        yield number, row
    if not found:
        raise LabelError(f"{path} has no labels in it: name another file.")


def _field(path: Path, number: int, row: dict[str, Any], name: str) -> Any:
    if name not in row:
        raise _wrong(path, number, f"it has no {name!r}")
    return row[name]


def _box(path: Path, number: int, row: dict[str, Any]) -> Box:
    try:
        x1, y1, x2, y2 = (float(value) for value in _field(path, number, row, "box"))
    except (TypeError, ValueError):
        raise _wrong(path, number, "its box is not [x1, y1, x2, y2]") from None
    return Box(x1, y1, x2, y2)


def _wrong(path: Path, number: int, what: str) -> LabelError:
    return LabelError(f"Line {number} of {path} cannot be used: {what}.")
