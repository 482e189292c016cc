"""Reading the text of a plate from its crop.

``Reader`` is what the pipeline asks for; ``PlateReader`` is the network trained on plates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

import cv2
import numpy as np

from detect_api.vision import ctc
from detect_api.vision.crop import without_margin
from detect_api.vision.models import shipped
from detect_api.vision.runtime import FloatArray, Network, load
from detect_api.vision.types import Candidate, CharacterScores, Image, ModelInfo, Reading

ALPHABET = ctc.ALPHABET

MODEL = "reader.onnx"

WIDTH, HEIGHT = 160, 64
"""Size in pixels to which the network's input is stretched."""

SURE = 0.9
"""Crops read less surely get a second look."""

MOST_CANDIDATES = 5
LEAST_CANDIDATE = 0.001

BATCH = 16
"""Most crops in one run of the network."""


class Reader(Protocol):
    """Reads the text of plates.

    What is read from a crop depends on that crop and the region alone, bit for bit, whatever other
    crops are given with it.
    """

    @property
    def models(self) -> tuple[ModelInfo, ...]: ...

    def read(self, crops: Sequence[Image], *, region: str | None = None) -> list[Reading | None]:
        """The text of each crop: None where none came out.

        A crop holds one plate as ``crop.rectify`` gives it, of one or two rows; the upper row is
        read first. ``region`` is where the plate is expected to be from (see ``formats``). A
        reading with the empty text says that the reader is sure: this is no plate.
        """
        ...


class PlateReader:
    """The plate reader: a network with CTC output, a beam search over it."""

    def __init__(self, network: Network) -> None:
        self._network = network

    @classmethod
    def load(cls, *, threads: int = 1, device: str = "CPU") -> PlateReader:
        """Raises ``Unavailable`` if the model cannot be loaded (see ``runtime.load``)."""
        path, digest = shipped(MODEL)
        return cls(load(path, sha256=digest, threads=threads, device=device, bf16=True))

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        return (self._network.info,)

    def read(self, crops: Sequence[Image], *, region: str | None = None) -> list[Reading | None]:
        looks = [[_Look(steps)] for steps in self._steps(crops)]
        doubtful = [i for i, (look,) in enumerate(looks) if look.texts[0][1] < SURE]
        again = self._steps([without_margin(crops[i]) for i in doubtful])
        for i, steps in zip(doubtful, again, strict=True):
            looks[i].append(_Look(steps))
        return [_reading(own) for own in looks]

    def _steps(self, crops: Sequence[Image]) -> list[FloatArray]:
        """The network's output for each crop: float32, shape (80, 37)."""
        steps: list[FloatArray] = []
        for start in range(0, len(crops), BATCH):
            batch = np.stack([_input(crop) for crop in crops[start : start + BATCH]])
            steps += list(self._network.run(batch))
        return steps


class _Look:
    """What one look at a plate gave: the network's steps, and the likeliest texts."""

    def __init__(self, steps: FloatArray) -> None:
        self.steps = steps
        self.texts = ctc.texts(steps)


def _input(crop: Image) -> Image:
    way = cv2.INTER_AREA if crop.shape[1] > 1.5 * WIDTH else cv2.INTER_LINEAR
    return cast(Image, cv2.resize(crop, (WIDTH, HEIGHT), interpolation=way))


def _reading(looks: Sequence[_Look]) -> Reading | None:
    """The text that the looks together make likeliest: their probabilities are averaged."""
    texts: dict[str, float] = {}
    for look in looks:
        for text, probability in look.texts:
            texts[text] = texts.get(text, 0.0) + probability / len(looks)
    ranked = sorted(texts.items(), key=lambda item: (-item[1], item[0]))
    text, confidence = ranked[0]
    if not text:
        return None
    candidates = tuple(
        Candidate(t, round(p, 6)) for t, p in ranked[:MOST_CANDIDATES] if p >= LEAST_CANDIDATE
    )
    return Reading(text, round(confidence, 6), _characters(looks, text), candidates)


def _characters(looks: Sequence[_Look], text: str) -> tuple[CharacterScores, ...]:
    """The characters' probabilities in the look that likes the text best."""
    best = max(looks, key=lambda look: dict(look.texts).get(text, 0.0))
    return ctc.characters(best.steps, text)
