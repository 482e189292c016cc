"""How likely a reading is right: what the models say of themselves, corrected by experience.

A logistic regression (Platt 1999) on a few signs, fitted to labelled pictures by
``python -m detect_api.evaluation.calibrate``; its weights lie in ``models/confidence.json``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from detect_api.vision.models import FOLDER

FILE = FOLDER / "confidence.json"

_MOST = 0.9999
"""Nothing is surer than this, whatever the models say."""


@dataclass(frozen=True, slots=True)
class Signs:
    """What tells how far to trust a reading.

    ``probability`` is that of the text by the plate reader alone, ``agreed`` whether the general
    recogniser read the same (None if it was not asked), ``height`` the crop's in pixels.
    """

    probability: float
    agreed: bool | None
    height: float

    def values(self) -> tuple[float, ...]:
        """The regression's inputs, in the order of ``Calibration``'s weights."""
        return (
            1.0,
            logit(self.probability),
            float(self.agreed is True),
            float(self.agreed is False),
            math.log(max(self.height, 1.0) / 32),
        )


@dataclass(frozen=True, slots=True)
class Calibration:
    """The regression's weights, in log-odds a unit of each sign."""

    base: float
    probability: float
    agreed: float
    differed: float
    height: float

    def confidence(self, signs: Signs) -> float:
        """The probability, 0 … 1, that a reading with these signs is right."""
        weights = (self.base, self.probability, self.agreed, self.differed, self.height)
        odds = math.fsum(w * v for w, v in zip(weights, signs.values(), strict=True))
        return min(_MOST, 1 / (1 + math.exp(-max(-30.0, min(30.0, odds)))))

    def to_json(self) -> dict[str, float]:
        """The weights by name."""
        return asdict(self)


def logit(probability: float) -> float:
    """The log-odds of a probability, bounded to what makes a difference."""
    bounded = min(max(probability, 1e-4), _MOST)
    return math.log(bounded / (1 - bounded))


def shipped_calibration() -> Calibration:
    """The weights that lie beside the models."""
    weights: Mapping[str, float] = json.loads(FILE.read_text(encoding="utf-8"))
    return Calibration(**weights)
