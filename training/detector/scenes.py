"""The training scenes, decoded once and kept in memory."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from training.detector.boxes import Floats, Image

COMPLETE = frozenset({"openimages_google_lp"})
"""Sources where nearly every plate that can be seen has a label."""
WEIGHTS = {
    "openimages_google_lp": 1.15,
    "openlpr": 1.0,
    "kaggle_andrewmvd": 1.0,
    "openimages_f8vsn": 1.0,
    "romania_robertlucian": 0.7,
    "russia_null07": 0.6,
    "iwpod_train": 1.0,
    "experiment_plates": 0.25,
}
"""How often a scene of each source is taken; tight crops with baked-in turns seldom."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture and what is known of it, in its pixels.

    ``corners`` (n, 8) are valid where ``cornered`` (n,) is true. ``ignored`` (m, 4) may hold
    plates without a label. ``hard`` (k, 4) look like plates and are none. ``complete``: no plate
    is without a label.
    """

    image: Image
    boxes: Floats
    corners: Floats
    cornered: np.ndarray[tuple[int], np.dtype[np.bool_]]
    ignored: Floats
    hard: Floats
    complete: bool
    weight: float


def load(labels: Path, pictures: Path, *, side: int = 544) -> list[Scene]:
    """The scenes of a label file as ``relabel`` writes it, none longer than ``side``.

    About 0.55 MB each. Raises ``FileNotFoundError`` where a picture is missing.
    """
    return [_scene(json.loads(line), pictures, side) for line in labels.read_text().splitlines()]


def _scene(row: dict[str, object], pictures: Path, side: int) -> Scene:
    path = pictures / str(row["image"])
    image = cv2.imread(str(path))
    if image is None:
        raise FileNotFoundError(path)
    factor = min(1.0, side / max(image.shape[:2]))
    if factor < 1:
        size = [round(v * factor) for v in image.shape[1::-1]]
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    source = str(row["image"]).split("/")[0]
    labelled = _rows(row["boxes"], 4)
    missing = _rows(row.get("missing", []), 4)
    corners = np.zeros((len(labelled) + len(missing), 8), np.float32)
    cornered = np.zeros(len(corners), np.bool_)
    known = row.get("corners", [])
    assert isinstance(known, list)
    for index, points in enumerate(known):
        if points is not None:
            corners[index] = points
            cornered[index] = True
    return Scene(
        image=np.ascontiguousarray(image, np.uint8),
        boxes=np.concatenate((labelled, missing)) * np.float32(factor),
        corners=corners * np.float32(factor),
        cornered=cornered,
        ignored=_rows(row.get("doubtful", []), 4) * np.float32(factor),
        hard=_rows(row.get("hard", []), 4) * np.float32(factor),
        complete=source in COMPLETE,
        weight=WEIGHTS[source],
    )


def _rows(values: object, width: int) -> Floats:
    return np.array(values, np.float32).reshape(-1, width)
