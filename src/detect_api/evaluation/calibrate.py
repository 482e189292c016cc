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
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from detect_api.evaluation import labels
from detect_api.evaluation.labels import PictureLabel
from detect_api.evaluation.score import OVERLAP
from detect_api.vision.alike import look_alike
from detect_api.vision.confidence import FILE, Calibration, Signs
from detect_api.vision.crop import rectify
from detect_api.vision.detect import PlateDetector
from detect_api.vision.read import PlateReader
from detect_api.vision.track import iou
from detect_api.vision.types import Image

PENALTY = 0.1
"""Ridge penalty on the distance from the weights that believe the models as they are."""

_TRUSTING = (0.0, 1.0, 0.0, 0.0, 0.0)

Sample = tuple[Signs, bool]
"""What tells how far to trust a reading, and whether it is right (O and 0, I and 1 alike)."""


def samples(known: Sequence[PictureLabel]) -> Iterator[Sample]:
    """Each labelled plate as a single picture and as a frame of a video would be read."""
    detector, reader = PlateDetector.load(), PlateReader.load()
    for label in known:
        image = cast(Image, cv2.imread(str(label.image)))
        (found,) = detector.detect([image], still=True)
        best = max(found, key=lambda d: iou(d.box, label.box), default=None)
        if best is None or iou(best.box, label.box) < OVERLAP:
            continue
        crop = rectify(image, best.corners)
        accepted = {look_alike(text) for text in label.accepted}
        for still in (True, False):
            (finding,) = reader.examine([crop], still=still)
            text = finding.texts[0][0]
            if text:
                yield finding.signs, look_alike(text) in accepted


def fit(known: Sequence[Sample]) -> Calibration:
    """The most likely weights, drawn a little towards those that change nothing."""
    inputs = np.array([signs.values() for signs, _ in known])
    right = np.array([float(ok) for _, ok in known])

    def loss(weights: NDArray[np.float64]) -> float:
        odds = inputs @ weights
        unlikely = np.logaddexp(0, odds) - right * odds
        return float(unlikely.sum() + PENALTY * ((weights - _TRUSTING) ** 2).sum())

    weights = minimize(loss, np.array(_TRUSTING), method="BFGS").x
    return Calibration(*(round(float(weight), 4) for weight in weights))


def surprise(calibration: Calibration, known: Sequence[Sample]) -> float:
    """Mean negative log-likelihood, in nats a reading: 0 is a perfect prophet."""
    chances = [calibration.confidence(signs) for signs, _ in known]
    logs = [math.log(c if ok else 1 - c) for c, (_, ok) in zip(chances, known, strict=True)]
    return -math.fsum(logs) / len(known)


def main(path: Path) -> None:
    known = list(samples(labels.pictures(path)))
    calibration = fit(known)
    FILE.write_text(json.dumps(calibration.to_json(), indent=2) + "\n", encoding="utf-8")
    before, after = (surprise(c, known) for c in (Calibration(*_TRUSTING), calibration))
    sys.stdout.write(
        f"{len(known)} readings, {sum(ok for _, ok in known)} right; surprise {before:.4f} before, "
        f"{after:.4f} after; written to {FILE}\n"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
