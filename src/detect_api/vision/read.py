"""Reading the text of a plate from its crop.

``Reader`` is what the pipeline asks for; ``PlateReader`` is the network trained on plates, with
what helps it where it doubts: a second look, national formats, a second opinion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import cv2
import numpy as np

from detect_api.vision import ctc
from detect_api.vision.alike import edit_distance, look_alike
from detect_api.vision.confidence import Calibration, Signs, shipped_calibration
from detect_api.vision.crop import sharpness, without_margin
from detect_api.vision.formats import weight
from detect_api.vision.general import GeneralReader, Opinion
from detect_api.vision.models import shipped
from detect_api.vision.runtime import FloatArray, Network, load
from detect_api.vision.types import Candidate, CharacterScores, Image, ModelInfo, Reading

ALPHABET = ctc.ALPHABET

MODEL = "reader.int8.onnx"

WIDTH, HEIGHT = 160, 64
"""Size in pixels to which the network's input is stretched."""

SURE = 0.9
"""Crops read less surely get a second look and then a second opinion, where time allows."""

DIFFERENCE = 0.3
"""How much likelier the general recogniser reads a text right than with one given mistake in it.

Measured with the pilot on the validation plates: 0.3 made .891 of the American ones .921 and .940
of the mixed scenes .964; 0.1 believes the general recogniser too much (.901, .940)."""

UNSEEN = 1e-4
"""The probability of the general recogniser's text where the plate reader did not think of it."""

MOST_CANDIDATES = 5
LEAST_CANDIDATE = 0.001

BATCH = 16
"""Most crops in one run of the network."""


class Reader(Protocol):
    """Reads the text of plates.

    What is read from a crop depends on that crop and the options alone, bit for bit, whatever
    other crops are given with it.
    """

    @property
    def models(self) -> tuple[ModelInfo, ...]: ...

    def read(
        self, crops: Sequence[Image], *, region: str | None = None, still: bool = False
    ) -> list[Reading | None]:
        """The text of each crop: None where none came out.

        A crop holds one plate as ``crop.rectify`` gives it, of one or two rows; the upper row is
        read first. ``region`` is where the plate is expected to be from (see ``formats``).
        ``still``: these are no frames of a video, there is time to look twice. A reading with the
        empty text says that the reader is sure: this is no plate.
        """
        ...


@dataclass(frozen=True, slots=True)
class Finding:
    """What a crop may say: (text, probability) pairs, likeliest first, summing to at most 1.

    ``characters`` are those of the first text, ``signs`` tell how far to trust it. ``legible``: if
    there were a text, it could be read.
    """

    texts: tuple[tuple[str, float], ...]
    characters: tuple[CharacterScores, ...]
    signs: Signs
    legible: bool


class PlateReader:
    """The plate reader: a network with CTC output and a beam search over it."""

    def __init__(self, network: Network, general: GeneralReader, calibration: Calibration) -> None:
        self._network = network
        self._general = general
        self._calibration = calibration

    @classmethod
    def load(cls, *, threads: int = 1, device: str = "CPU") -> PlateReader:
        """Raises ``Unavailable`` if a model cannot be loaded (see ``runtime.load``)."""
        path, digest = shipped(MODEL)
        return cls(
            load(path, sha256=digest, threads=threads, device=device, bf16=True),
            GeneralReader.load(threads=threads, device=device),
            shipped_calibration(),
        )

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        return (self._network.info, *self._general.models)

    def read(
        self, crops: Sequence[Image], *, region: str | None = None, still: bool = False
    ) -> list[Reading | None]:
        findings = self.examine(crops, region=region, still=still)
        return [self._reading(finding) for finding in findings]

    def examine(
        self, crops: Sequence[Image], *, region: str | None = None, still: bool = False
    ) -> list[Finding]:
        """What each crop may say, before anything is decided."""
        looks = [[_Look(steps)] for steps in self._steps(crops)]
        if still:
            doubtful = [i for i, (look,) in enumerate(looks) if look.texts[0][1] < SURE]
            again = self._steps([without_margin(crops[i]) for i in doubtful])
            for i, steps in zip(doubtful, again, strict=True):
                looks[i].append(_Look(steps))
        return [
            self._finding(crop, own, region, still) for crop, own in zip(crops, looks, strict=True)
        ]

    def _steps(self, crops: Sequence[Image]) -> list[FloatArray]:
        """The network's output for each crop: float32, shape (80, 37)."""
        steps: list[FloatArray] = []
        for start in range(0, len(crops), BATCH):
            batch = np.stack([_input(crop) for crop in crops[start : start + BATCH]])
            steps += list(self._network.run(batch))
        return steps

    def _finding(
        self, crop: Image, looks: Sequence[_Look], region: str | None, still: bool
    ) -> Finding:
        texts = _ranked({t: p * weight(t, region) for t, p in _together(looks).items()})
        own, agreed = dict(texts), None
        if still and texts[0][1] < SURE:
            opinion = self._general.read(without_margin(crop))
            if opinion.text:
                texts = _with_opinion(texts, opinion, region)
                agreed = look_alike(texts[0][0]) == look_alike(opinion.text)
        text = texts[0][0]
        signs = Signs(own.get(text, UNSEEN), agreed, float(crop.shape[0]))
        return Finding(texts, _characters(looks, text), signs, _legible(crop))

    def _reading(self, finding: Finding) -> Reading | None:
        (text, probability), *others = finding.texts
        if not text:
            refused = probability >= SURE and finding.legible
            return Reading("", round(probability, 6), ()) if refused else None
        confidence = self._calibration.confidence(finding.signs)
        share = (1 - confidence) / max(1 - probability, 1e-9)
        rest = [(t, min(p * share, confidence)) for t, p in others[: MOST_CANDIDATES - 1] if t]
        candidates = [(text, confidence), *(c for c in rest if c[1] >= LEAST_CANDIDATE)]
        return Reading(
            text,
            round(confidence, 6),
            finding.characters,
            tuple(Candidate(t, round(p, 6)) for t, p in candidates),
        )


LEGIBLE_HEIGHT, LEGIBLE_SHARPNESS = 20, 0.15
"""Crops so tall in pixels and so sharp (``crop.sharpness``) are read if there is a text."""


def _legible(crop: Image) -> bool:
    return crop.shape[0] >= LEGIBLE_HEIGHT and sharpness(crop) >= LEGIBLE_SHARPNESS


class _Look:
    """What one look at a plate gave: the network's steps, and the likeliest texts."""

    def __init__(self, steps: FloatArray) -> None:
        self.steps = steps
        self.texts = ctc.texts(steps)

    def probability(self, text: str) -> float:
        """That of a text, 0 if it is not among the likeliest."""
        return dict(self.texts).get(text, 0.0)


def _input(crop: Image) -> Image:
    way = cv2.INTER_AREA if crop.shape[1] > 1.5 * WIDTH else cv2.INTER_LINEAR
    return cast(Image, cv2.resize(crop, (WIDTH, HEIGHT), interpolation=way))


def _together(looks: Sequence[_Look]) -> dict[str, float]:
    """The texts of all looks with their mean probabilities.

    Looks at one crop err alike, so that multiplying them would count the same evidence twice.
    """
    texts: dict[str, float] = {}
    for look in looks:
        for text, probability in look.texts:
            texts[text] = texts.get(text, 0.0) + probability / len(looks)
    return texts


def _ranked(weights: dict[str, float]) -> tuple[tuple[str, float], ...]:
    """Texts by weight, the heaviest first, scaled to the sum 1."""
    total = sum(weights.values())
    ranked = sorted(weights.items(), key=lambda item: (-item[1], item[0]))
    return tuple((text, w / total) for text, w in ranked)


def _with_opinion(
    texts: Sequence[tuple[str, float]], opinion: Opinion, region: str | None
) -> tuple[tuple[str, float], ...]:
    """The texts weighed anew: the more a text differs from the second opinion, the less likely."""
    weights = dict(texts)
    weights.setdefault(opinion.text, UNSEEN * weight(opinion.text, region))
    said = look_alike(opinion.text)
    return _ranked(
        {t: w * DIFFERENCE ** edit_distance(said, look_alike(t)) for t, w in weights.items()}
    )


def _characters(looks: Sequence[_Look], text: str) -> tuple[CharacterScores, ...]:
    """What each character may be, in the look that likes the text best."""
    return ctc.characters(max(looks, key=lambda look: look.probability(text)).steps, text)
