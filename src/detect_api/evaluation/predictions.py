"""Answers of any reader, from a file: lines in the form of ``detect-api read --json``.

So that other readers are scored by the same code as the engine.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detect_api.evaluation.labels import LabelError, PictureLabel
from detect_api.evaluation.score import Answer, Best, answer
from detect_api.vision.types import Box, Candidate, Moment, Observation, Plate, UnreadTrack


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a reader made of one picture, and how long it took by each clock it names."""

    tracks: tuple[Plate | UnreadTrack, ...]
    milliseconds: Mapping[str, float]


Predictions = Mapping[tuple[Path, str | None], Prediction]
"""By picture and the region that the reader was given, None for none."""


def read(path: Path, labels: Path) -> Predictions:
    """The answers in a file about the pictures of a labels file.

    A line has ``image`` (relative to the labels, or to the current folder) and ``plates``, each
    with ``text``, ``confidence`` and ``bbox``; perhaps ``candidates``, ``unread``, ``region`` and
    ``milliseconds``. Texts may have separators, accents and lower case: what counts is ``plain``.
    Raises LabelError and OSError.
    """
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            key = _picture(row["image"], labels), row.get("region")
            found[key] = Prediction(
                tracks=(
                    *(_plate(entry) for entry in row["plates"]),
                    *(_unread(entry) for entry in row.get("unread", ())),
                ),
                milliseconds=row.get("milliseconds", {}),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise LabelError(
                f"Line {number} of {path} is no answer like those of detect-api read --json: "
                f"{type(error).__name__} {error}.",
                code="labels",
            ) from None
    return found


def answers(
    labels: Sequence[PictureLabel],
    predictions: Predictions,
    *,
    with_region: bool = False,
    best: Best = "nearest",
) -> Iterator[Answer]:
    """The answer for each label, in order, as ``run.over_pictures`` gives them for the engine.

    With ``with_region`` only for labels whose region the reader was given. Raises LabelError if it
    was not asked about a picture at all.
    """
    for label in labels:
        region = label.region if with_region else None
        if with_region and region is None:
            continue
        prediction = predictions.get((label.image.resolve(), region))
        if prediction is not None:
            yield answer(label, prediction.tracks, best=best)
        elif not with_region:
            raise LabelError(f"The file of answers has no line for {label.image}.", code="labels")


def mean_milliseconds(predictions: Predictions) -> dict[str, float]:
    """The mean time of a picture by each clock, of the answers given without a region."""
    times: dict[str, list[float]] = {}
    for (_, region), prediction in predictions.items():
        if region is None:
            for clock, value in prediction.milliseconds.items():
                times.setdefault(clock, []).append(value)
    return {clock: math.fsum(values) / len(values) for clock, values in times.items()}


def plain(text: str) -> str:
    """The text in [A-Z0-9]: capitals without accents, everything else left out."""
    letters = unicodedata.normalize("NFKD", text).upper()
    return re.sub("[^A-Z0-9]", "", letters)


def _picture(name: str, labels: Path) -> Path:
    beside = labels.parent / name
    return (beside if beside.exists() else Path(name)).resolve()


def _plate(entry: Mapping[str, Any]) -> Plate | UnreadTrack:
    """A plate of a still picture, unread if nothing is left of its text."""
    text = plain(entry["text"])
    moment = Moment(0, 0.0)
    if not text:
        return UnreadTrack(0, moment, moment, 1, "no_text", _observation(entry["bbox"]))
    candidates = entry.get("candidates", ())
    return Plate(
        track_id=0,
        text=text,
        confidence=float(entry["confidence"]),
        candidates=tuple(Candidate(plain(c["text"]), float(c["confidence"])) for c in candidates),
        characters=(),
        first_seen=moment,
        last_seen=moment,
        observations=1,
        best=_observation(entry["bbox"]),
    )


def _unread(entry: Mapping[str, Any]) -> UnreadTrack:
    moment = Moment(0, 0.0)
    return UnreadTrack(
        0, moment, moment, 1, str(entry["reason"]), _observation(entry["best"]["bbox"])
    )


def _observation(bbox: Mapping[str, float]) -> Observation:
    box = Box(*(float(bbox[side]) for side in ("x1", "y1", "x2", "y2")))
    corners = ((box.x1, box.y1), (box.x2, box.y1), (box.x2, box.y2), (box.x1, box.y2))
    return Observation(0, 0.0, box, corners, 1.0, 0.0, None)
