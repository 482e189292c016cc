"""Fits the confidence to labelled pictures and writes its weights beside the models.

    python -m detect_api.evaluation.calibrate LABELS.jsonl

To be done again whenever a model or a rule of the reader changes. The pictures must not have been
trained on.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from detect_api.evaluation import labels, worn
from detect_api.evaluation.labels import PictureLabel
from detect_api.evaluation.run import load
from detect_api.evaluation.score import OVERLAP
from detect_api.vision.alike import look_alike
from detect_api.vision.confidence import FILE, Calibration, Signs
from detect_api.vision.crop import rectify
from detect_api.vision.detect import PlateDetector
from detect_api.vision.judge import SHORT
from detect_api.vision.read import PlateReader
from detect_api.vision.track import iou
from detect_api.vision.types import Box, Image, Point

NOTHING = 0.1
"""How much a reading of a place without a plate counts: false finds are rarer than plates."""

WORN = 3
"""Frames of worse cameras for each label."""

PENALTY = 0.1
"""Ridge penalty on the distance from the weights that believe the models as they are."""

_TRUSTING = (0.0, 1.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Sample:
    """What tells how far to trust a reading, whether it is right (O and 0, I and 1 alike), and how
    much it counts.
    """

    signs: Signs
    right: bool
    weight: float = 1.0


def samples(known: Sequence[PictureLabel]) -> Iterator[Sample]:
    """Each labelled plate as a single picture and as a frame of a video would be read, as frames
    of worse cameras, and a place beside it where there is no plate.
    """
    detector, reader = PlateDetector.load(), PlateReader.load()
    near = PlateDetector.load(side=worn.SIDE)
    for label in known:
        image = load(label.image)
        (found,) = detector.detect([image], still=True)
        best = max(found, key=lambda d: iou(d.box, label.box), default=None)
        accepted = {look_alike(text) for text in label.accepted}
        if best is not None and iou(best.box, label.box) >= OVERLAP:
            for signs, text in _readings(reader, image, best.corners):
                yield Sample(signs, look_alike(text) in accepted)
        for seen, box in worn.looks(label, image, WORN):
            (found_there,) = near.detect([seen])
            for plate in (d for d in found_there if iou(d.box, box) >= OVERLAP):
                for signs, text in _readings(reader, seen, plate.corners, ways=(False,)):
                    yield Sample(signs, look_alike(text) in accepted)
        place = _mirrored(label.box, image.shape[1])
        if not any(iou(place, d.box) for d in found):
            corners = ((place.x1, place.y1), (place.x2, place.y1))
            below = ((place.x2, place.y2), (place.x1, place.y2))
            for signs, _ in _readings(reader, image, (*corners, *below)):
                yield Sample(signs, right=False, weight=NOTHING)


def _mirrored(box: Box, width: int) -> Box:
    """The same place in the other half of a picture."""
    return Box(width - box.x2, box.y1, width - box.x1, box.y2)


def _readings(
    reader: PlateReader,
    image: Image,
    corners: tuple[Point, Point, Point, Point],
    *,
    ways: Sequence[bool] = (True, False),
) -> Iterator[tuple[Signs, str]]:
    """What is read, as a still picture (True) and as a frame of a video (False)."""
    crop = rectify(image, corners)
    for still in ways:
        (finding,) = reader.examine([crop], still=still)
        text = finding.texts[0][0]
        if len(text) > SHORT:
            yield finding.signs, text


def fit(known: Sequence[Sample]) -> Calibration:
    """The most likely weights, drawn a little towards those that change nothing."""
    inputs = np.array([sample.signs.values() for sample in known])
    right = np.array([float(sample.right) for sample in known])
    counts = np.array([sample.weight for sample in known])

    def loss(weights: NDArray[np.float64]) -> float:
        odds = inputs @ weights
        unlikely = np.logaddexp(0, odds) - right * odds
        return float(counts @ unlikely + PENALTY * ((weights - _TRUSTING) ** 2).sum())

    weights = minimize(loss, np.array(_TRUSTING), method="BFGS").x
    return Calibration(*(round(float(weight), 4) for weight in weights))


def surprise(calibration: Calibration, known: Sequence[Sample]) -> float:
    """Mean negative log-likelihood, in nats a reading: 0 is a perfect prophet."""
    total = 0.0
    for sample in known:
        chance = calibration.confidence(sample.signs)
        total -= sample.weight * math.log(chance if sample.right else 1 - chance)
    return total / math.fsum(sample.weight for sample in known)


def main(path: Path) -> None:
    known = list(samples(labels.pictures(path)))
    calibration = fit(known)
    FILE.write_text(json.dumps(calibration.to_json(), indent=2) + "\n", encoding="utf-8")
    before, after = (surprise(c, known) for c in (Calibration(*_TRUSTING), calibration))
    right = sum(sample.right for sample in known)
    sys.stdout.write(
        f"{len(known)} readings, {right} right; surprise {before:.4f} before, {after:.4f} after\n"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
