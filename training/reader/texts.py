"""The texts of real crops: whose they are, and which are not used.

``plates_crops/labels.jsonl`` has texts on which two models agreed; ``texts.jsonl`` beside this
file has those that were read by eye on contact sheets. A text that stands on a plate of the
validation pictures, or differs from such a one in a single character, is left out, so that
validation measures reading and not memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rapidfuzz.distance import Levenshtein

from training.paths import DATA

BY_EYE = Path(__file__).parent / "texts.jsonl"

_FOLD = str.maketrans("OI", "01")


@dataclass(frozen=True, slots=True)
class LabelledCrop:
    """A crop of ``plates_crops``: ``box`` (x1, y1, x2, y2) of the plate in it, in pixels."""

    image: str
    box: tuple[float, float, float, float]
    group: str
    text: str
    by: str


def fold(text: str) -> str:
    """A text with O and 0, I and 1 alike."""
    return text.translate(_FOLD)


def validation_texts() -> set[str]:
    """All texts of ``plates_val``, folded."""
    lines = (DATA / "plates_val" / "labels.jsonl").read_text().splitlines()
    labels = [json.loads(line) for line in lines]
    return {fold(t) for label in labels for t in (label["text"], *(label.get("also_ok") or ()))}


def too_near(text: str, texts: Iterable[str]) -> bool:
    """Whether a text is one of ``texts`` (folded), or a single character from a longer one."""
    mine = fold(text)
    return any(
        mine == other
        or (len(other) >= 6 and Levenshtein.distance(mine, other, score_cutoff=1) <= 1)
        for other in texts
    )


def labelled_crops() -> list[LabelledCrop]:
    """All crops with a text of 3 to 12 characters that may be used."""
    by_eye: dict[str, str | None] = {}
    if BY_EYE.exists():
        for line in BY_EYE.read_text().splitlines():
            entry = json.loads(line)
            by_eye[entry["image"]] = entry["text"]
    forbidden = validation_texts()
    crops = []
    for line in (DATA / "plates_crops" / "labels.jsonl").read_text().splitlines():
        label = json.loads(line)
        image = label["image"]
        text, by = (by_eye[image], "eye") if image in by_eye else (label["text"], label["rule"])
        if not text or not 3 <= len(text) <= 12 or too_near(text, forbidden):
            continue
        crops.append(LabelledCrop(image, tuple(label["box"]), label["group"], text, by))
    return crops
