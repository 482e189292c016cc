"""How well a reader reads: true boxes of ``plates_val``, and real crops kept apart."""

from __future__ import annotations

import json
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.paths import DATA
from training.reader import crops
from training.reader.model import ALPHABET
from training.reader.texts import fold


@dataclass(frozen=True, slots=True)
class Trial:
    """Stretched crops of one set, uint8 (N, 64, 160, 3) BGR, each with the texts that count."""

    name: str
    pictures: NDArray[np.uint8]
    texts: tuple[tuple[str, ...], ...]


def trials() -> list[Trial]:
    """One for each set of ``plates_val``, and one of the real crops kept apart."""
    sets: dict[str, tuple[list[crops.Picture], list[tuple[str, ...]]]] = {}
    for line in (DATA / "plates_val" / "labels.jsonl").read_text().splitlines():
        label = json.loads(line)
        image = cv2.imread(str(DATA / "plates_val" / label["image"]))
        x1, y1, x2, y2 = label["box"]
        quad = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32)
        pictures, texts = sets.setdefault(label["set"].removeprefix("openalpr_"), ([], []))
        pictures.append(crops.stretch(crops.cut(image.astype(np.uint8), quad, 0.03)))
        texts.append((label["text"], *(label.get("also_ok") or ())))
    real = crops.load(validation=True)
    if real:
        pictures = [crops.stretch(crops.cut(c.image, c.quads[0], 0.03)) for c in real]
        sets["real"] = (pictures, [(c.text,) for c in real])
    return [Trial(name, np.stack(p), tuple(t)) for name, (p, t) in sets.items()]


def greedy(probabilities: NDArray[np.float32]) -> list[str]:
    """The best path of each picture: (N, steps, classes) to texts."""
    texts = []
    for path in probabilities.argmax(-1):
        kept = [k for i, k in enumerate(path) if k and (i == 0 or path[i - 1] != k)]
        texts.append("".join(ALPHABET[k - 1] for k in kept))
    return texts


def score(trial: Trial, read: list[str]) -> tuple[float, float]:
    """(exact, folded) share of texts that are right."""
    pairs = list(zip(trial.texts, read, strict=True))
    exact = [text in right for right, text in pairs]
    folded = [fold(text) in {fold(r) for r in right} for right, text in pairs]
    return sum(exact) / len(pairs), sum(folded) / len(pairs)
