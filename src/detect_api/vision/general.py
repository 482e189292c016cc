"""Reading the text of a plate from its crop.

``Reader`` is what the pipeline asks for. It is filled for now by ``LineReader``: the general
recogniser of PP-OCRv6, restricted to [A-Z0-9], with rules on what is surely no plate's text. A
reader trained on plates replaces it behind the same interface.
"""

from __future__ import annotations

import itertools
import math
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from detect_api.core.errors import Unavailable
from detect_api.vision.crop import sharpness
from detect_api.vision.detect import rapidocr_model
from detect_api.vision.runtime import FloatArray, Network, load
from detect_api.vision.types import CharacterScores, Image, ModelInfo, Reading

MODEL = "PP-OCRv6_rec_small.onnx"
MODEL_SHA256 = "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884"

ALPHABET = string.digits + string.ascii_uppercase


class Reader(Protocol):
    """Reads the text of plates.

    What is read from a crop depends on that crop alone, bit for bit, whatever other crops are
    given with it.
    """

    @property
    def models(self) -> tuple[ModelInfo, ...]: ...

    def read(self, crops: Sequence[Image]) -> list[Reading | None]:
        """The text of each crop: None where none came out.

        A crop holds one plate, upright, of one or two rows; the upper row is read first. A reading
        with the empty text says that the reader is sure: what stands there belongs to no plate.
        """
        ...


class LineReader:
    """The text recogniser of PP-OCRv6 (small) as a plate reader."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._symbols = _symbols(network.metadata)
        self._columns = [
            np.array([i for i, s in enumerate(self._symbols) if FOLD.get(s) == character])
            for character in ALPHABET
        ]
        self._other = np.array([s not in FOLD for s in self._symbols])
        self._other[0] = False

    @classmethod
    def load(cls, *, threads: int = 1, device: str = "CPU") -> LineReader:
        """Raises ``Unavailable`` if the model cannot be loaded (see ``runtime.load``)."""
        path = rapidocr_model(MODEL)
        return cls(load(path, sha256=MODEL_SHA256, threads=threads, device=device))

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        return (self._network.info,)

    def read(self, crops: Sequence[Image]) -> list[Reading | None]:
        return [self._read(crop) for crop in crops]

    def _read(self, crop: Image) -> Reading | None:
        height, width = crop.shape[:2]
        if height < 4 or width < 4:
            return None
        rows = [self._line(crop)] if width > TWO_ROWS * height else []
        if width <= ONE_ROW * height and _worth(rows) < ENOUGH:
            rows = max(rows, [self._line(row) for row in split_rows(crop)], key=_worth)
        reading = _joined(rows)
        if _no_plate(rows, reading, crop):
            return Reading("", reading.confidence if reading else 0.0, ())
        return reading

    def _line(self, row: Image) -> Line:
        return self._decode(self._network.run(_input(row))[0].astype(np.float64))

    def _decode(self, steps: NDArray[np.float64]) -> Line:
        """Collapse CTC steps (shape (steps, symbols), probabilities; symbol 0 is the blank).

        Best path (Graves et al. 2006, section 3.2), on the 36 characters with their lower case
        and look-alikes added up, every other symbol on its own. The probabilities of a character
        are the largest that its steps give.
        """
        wanted = np.stack([steps[:, columns].sum(axis=1) for columns in self._columns], axis=1)
        others = np.where(self._other, steps, 0)
        other = others.argmax(axis=1)
        table = np.column_stack([steps[:, 0], wanted, others.max(axis=1)])
        path = table.argmax(axis=1)
        raw: list[str] = []
        characters: list[CharacterScores] = []
        doubt = 0.0
        for start, end in _runs(np.where(path == 37, 37 + other, path)):
            kind = int(path[start])
            if kind == 0:
                continue
            peak = start + int(table[start:end, kind].argmax())
            if kind == 37:
                raw.append(self._symbols[int(other[peak])])
                doubt += 1 - float(table[peak, 37])
                continue
            shapes = self._columns[kind - 1]
            raw.append(self._symbols[int(shapes[steps[peak, shapes].argmax()])])
            characters.append(_scores(wanted[start:end].max(axis=0)))
        return Line("".join(raw), tuple(characters), doubt)


@dataclass(frozen=True, slots=True)
class Line:
    """One row as the recogniser has it.

    ``raw`` is what is written there in any script, ``characters`` those of it that are [A-Z0-9],
    ``doubt`` how much the other symbols of ``raw`` fall short of certainty, added up.
    """

    raw: str
    characters: tuple[CharacterScores, ...]
    doubt: float


def _symbols(metadata: Mapping[str, str]) -> list[str]:
    """The recogniser's classes: blank, the characters of its dictionary, space."""
    dictionary = metadata.get("character")
    if not dictionary:
        raise Unavailable(
            "The recogniser's model file carries no dictionary of characters: install rapidocr "
            "again from requirements.lock.",
            code="model_unavailable",
        )
    return ["", *dictionary.split("\n"), " "]


FOLD: dict[str, str] = {
    **{c: c for c in ALPHABET},
    **{c.lower(): c for c in string.ascii_uppercase},
    # Full-width and Cyrillic capitals that look the same; plates of many countries bear only
    # Cyrillic letters that have a Latin twin.
    **{chr(ord(c) + 0xFEE0): c for c in ALPHABET},
    **dict(zip("АВЕКМНОРСТУХ", "ABEKMHOPCTYX", strict=True)),  # noqa: RUF001
}
"""Which character of [A-Z0-9] a symbol of the recogniser stands for."""

SURE = 0.75
"""From this confidence on, a line that is no plate by its text counts as no plate."""

LEGIBLE_HEIGHT, LEGIBLE_SHARPNESS, LEGIBLE_CONFIDENCE = 16, 0.15, 0.5
"""Rows so tall and so sharp (``crop.sharpness``) are read with that confidence if they are text."""

_LOOK_ALIKE = set("ckosuvwxzpiml")
_CLOCK = re.compile(r"\d\s*[:：]\s*\d")  # noqa: RUF001
_DATE = re.compile(r"(?<!\d)(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})(?!\d)")
_LINK = re.compile(r"www\.|\.com|https?:|@|%|km/h|mph", re.IGNORECASE)


def no_plate(line: str) -> bool:
    """Whether a line as written is surely no plate's text: a clock, a date, words, an address.

    Told by what plates do not bear: a colon between digits, a date with its four-digit year,
    lower-case letters that look unlike their capitals, mostly letters of other scripts, or no
    digit at all.
    """
    if _CLOCK.search(line) or _DATE.search(line) or _LINK.search(line):
        return True
    lower = sum(c.islower() and c not in _LOOK_ALIKE for c in line)
    foreign = sum(c.isalnum() and c not in FOLD for c in line)
    known = sum(c in FOLD for c in line)
    if lower >= 3 or foreign > max(1, known // 2):
        return True
    return not any(c.isdigit() for c in line)


def _runs(path: NDArray[np.int64]) -> list[tuple[int, int]]:
    """(start, end) of each stretch of equal entries."""
    cuts = [0, *(np.flatnonzero(np.diff(path)) + 1).tolist(), len(path)]
    return list(itertools.pairwise(cuts))


KEPT_SCORES = 5
LEAST_SCORE = 1e-4


def _scores(probabilities: NDArray[np.float64]) -> CharacterScores:
    """The best few characters of one place; ``probabilities`` follows ``ALPHABET``."""
    total = max(1.0, float(probabilities.sum()))
    order = np.argsort(-probabilities, kind="stable")[:KEPT_SCORES].tolist()
    ranked = [(ALPHABET[i], round(float(probabilities[i]) / total, 6)) for i in order]
    return CharacterScores(tuple(p for i, p in enumerate(ranked) if i == 0 or p[1] >= LEAST_SCORE))


def _mean(probabilities: Sequence[float]) -> float:
    """The geometric mean, 0 for none."""
    if not probabilities:
        return 0.0
    logs = [math.log(max(p, 1e-6)) for p in probabilities]
    return round(math.exp(math.fsum(logs) / len(logs)), 6)


# The network was trained on lines 48 pixels high, padded on the right with mid-grey. Widths go
# up to the next of a few, so that what is read does not depend on what is read beside it.
_HEIGHT = 48
WIDTHS = (96, 160, 240, 320, 480)


def _input(row: Image) -> FloatArray:
    """The network's input for one line: float32, shape (1, 3, 48, width), BGR in -1 … 1."""
    height, width = row.shape[:2]
    scaled = min(max(16, math.ceil(width * _HEIGHT / height)), WIDTHS[-1])
    resized = cv2.resize(row, (scaled, _HEIGHT), interpolation=cv2.INTER_LINEAR)
    padded = next(w for w in WIDTHS if w >= scaled)
    array = np.zeros((1, 3, _HEIGHT, padded), dtype=np.float32)
    array[0, :, :, :scaled] = (resized.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)
    return array


ONE_ROW = 2.6
"""Wider than so many heights, a crop has one row."""

TWO_ROWS = 1.2
"""Up to so many heights wide, it has two."""

ENOUGH = 5.0
"""A crop that may have two rows is not cut if it gives so much (``_worth``) as a single one."""


def split_rows(crop: Image) -> tuple[Image, Image]:
    """Cut a two-row crop where the fewest vertical strokes cross, near the middle."""
    height = crop.shape[0]
    gray = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    ink = np.abs(cv2.Sobel(gray, cv2.CV_32F, 1, 0)).mean(axis=1).reshape(-1, 1)
    ink = cv2.blur(ink, (1, max(1, height // 12)), borderType=cv2.BORDER_REPLICATE).ravel()
    first, last = round(height * 0.3), max(round(height * 0.7), round(height * 0.3) + 1)
    cut = first + int(ink[first:last].argmin())
    margin = max(1, round(height * 0.03))
    return crop[: cut + margin], crop[max(0, cut - margin) :]


def _joined(rows: Sequence[Line]) -> Reading | None:
    """The rows, from the top, as one text."""
    characters = tuple(scores for row in rows for scores in row.characters)
    if not characters:
        return None
    confidence = _mean([scores.best[1] for scores in characters])
    return Reading("".join(s.best[0] for s in characters), confidence, characters)


def _worth(rows: Sequence[Line]) -> float:
    """How much of a plate a reading gives; six characters are worth as much as more."""
    reading = _joined(rows)
    return 0.0 if reading is None else reading.confidence * min(len(reading.text), 6)


def _no_plate(rows: Sequence[Line], reading: Reading | None, crop: Image) -> bool:
    """Whether it is sure that the crop shows no plate.

    Either the text was read well and is not a plate's; or it should be legible, large and sharp
    as it is, and still no text of the alphabet comes out.
    """
    raw = " ".join(row.raw for row in rows)
    confidence = reading.confidence if reading else 0.0
    doubt = sum(row.doubt for row in rows)
    if raw.strip() and confidence >= SURE and doubt <= 0.5 * len(raw) and no_plate(raw):
        return True
    legible = crop.shape[0] >= LEGIBLE_HEIGHT * len(rows) and sharpness(crop) >= LEGIBLE_SHARPNESS
    return legible and (confidence < LEGIBLE_CONFIDENCE or len(reading.text if reading else "") < 3)
