"""A second opinion: the general text recogniser PP-OCRv6, as the package ``rapidocr`` ships it.

It was trained on text of every kind and errs in other ways than a reader of plates, so that what
both read alike is right almost always. It is slower, so only doubtful plates are shown to it.
"""

from __future__ import annotations

import importlib.util
import itertools
import math
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from detect_api.core.errors import Unavailable
from detect_api.vision.ctc import ALPHABET
from detect_api.vision.runtime import FloatArray, Network, load
from detect_api.vision.types import Image, ModelInfo

MODEL = "PP-OCRv6_rec_small.onnx"
MODEL_SHA256 = "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884"


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the general recogniser reads, [A-Z0-9] only.

    ``confidence`` is the geometric mean of its characters' probabilities, 0 where it reads nothing.
    """

    text: str
    confidence: float


class GeneralReader:
    """The text recogniser of PP-OCRv6 (small)."""

    def __init__(self, network: Network) -> None:
        self._network = network
        symbols = _symbols(network.metadata)
        self._columns = [
            np.array([i for i, s in enumerate(symbols) if FOLD.get(s) == character])
            for character in ALPHABET
        ]
        self._others = np.array([i for i, s in enumerate(symbols) if i and s not in FOLD])

    @classmethod
    def load(cls, *, threads: int = 1, device: str = "CPU") -> GeneralReader:
        """Raises ``Unavailable`` if the model cannot be loaded (see ``runtime.load``)."""
        path = rapidocr_model(MODEL)
        network = load(path, sha256=MODEL_SHA256, threads=threads, device=device, bf16=True)
        return cls(network)

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        return (self._network.info,)

    def read(self, crop: Image) -> Opinion:
        """The text of a plate, upright and cut to its edges, of one or two rows."""
        height, width = crop.shape[:2]
        rows = [self._line(crop)] if width > TWO_ROWS * height else []
        if width <= ONE_ROW * height and _worth(rows) < ENOUGH:
            rows = max(rows, [self._line(row) for row in split_rows(crop)], key=_worth)
        return _joined(rows)

    def _line(self, row: Image) -> list[tuple[str, float]]:
        """The characters of one row with their probabilities."""
        return self._decode(self._network.run(_input(row))[0])

    def _decode(self, steps: FloatArray) -> list[tuple[str, float]]:
        """Collapse CTC steps (shape (steps, symbols), probabilities; symbol 0 is the blank).

        Best path (Graves et al. 2006, section 3.2), on the 36 characters with their lower case
        and look-alikes added up; every other symbol together is one that is left out.
        """
        wanted = [steps[:, columns].sum(axis=1) for columns in self._columns]
        table = np.column_stack([steps[:, 0], *wanted, steps[:, self._others].max(axis=1)])
        path = table.argmax(axis=1).tolist()
        characters, start = [], 0
        for kind, run in itertools.groupby(path):
            end = start + len(list(run))
            if 0 < kind <= len(ALPHABET):
                characters.append((ALPHABET[kind - 1], float(table[start:end, kind].max())))
            start = end
        return characters


def rapidocr_model(name: str) -> Path:
    """Where the ``rapidocr`` wheel keeps a model file.

    The package is located without importing it: importing would configure logging and pull in
    its own inference session.
    """
    spec = importlib.util.find_spec("rapidocr")
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable(
            "The package rapidocr, which carries a model, is not installed: pip install rapidocr.",
            code="model_unavailable",
        )
    return Path(spec.submodule_search_locations[0]) / "models" / name


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
    ink: NDArray[np.float32] = np.abs(cv2.Sobel(gray, cv2.CV_32F, 1, 0)).mean(axis=1)
    smooth = cv2.blur(
        ink.reshape(-1, 1), (1, max(1, height // 12)), borderType=cv2.BORDER_REPLICATE
    ).ravel()
    first, last = round(height * 0.3), max(round(height * 0.7), round(height * 0.3) + 1)
    cut = first + int(smooth[first:last].argmin())
    margin = max(1, round(height * 0.03))
    return crop[: cut + margin], crop[max(0, cut - margin) :]


def _joined(rows: Sequence[list[tuple[str, float]]]) -> Opinion:
    """The rows, from the top, as one text."""
    characters = [character for row in rows for character in row]
    if not characters:
        return Opinion("", 0.0)
    logs = [math.log(max(p, 1e-6)) for _, p in characters]
    text = "".join(character for character, _ in characters)
    return Opinion(text, round(math.exp(math.fsum(logs) / len(logs)), 6))


def _worth(rows: Sequence[list[tuple[str, float]]]) -> float:
    """How much of a plate a reading gives; six characters are worth as much as more."""
    opinion = _joined(rows)
    return opinion.confidence * min(len(opinion.text), 6)
