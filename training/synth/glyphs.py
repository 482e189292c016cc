"""The glyph bank: the characters of many fonts, and small words, as alpha masks."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training.paths import WORK
from training.synth.dice import Dice

Mask = npt.NDArray[np.uint8]

CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CAP = 48
"""Height of a capital letter in a glyph's mask, pixels."""
PAD = 5
"""Rows above and below the capital's box, for tails and overshoot: a mask has CAP + 2·PAD rows."""

DEFAULT_BANK = WORK / "glyphs.npz"


@dataclass(frozen=True)
class Font:
    """The 36 characters of one font, each an alpha mask of CAP + 2·PAD rows, cut tight sideways."""

    name: str
    tags: frozenset[str]
    masks: dict[str, Mask]


@dataclass(frozen=True)
class GlyphBank:
    """All fonts, and the small words by kind (``state``, ``slogan``, ``city``, ``tiny``...)."""

    fonts: tuple[Font, ...]
    words: dict[str, tuple[Mask, ...]]
    _by_tag: dict[str, tuple[Font, ...]] = field(default_factory=dict, compare=False)

    def tagged(self, tag: str) -> tuple[Font, ...]:
        """Fonts that carry the tag; all fonts when none does."""
        if tag not in self._by_tag:
            found = tuple(font for font in self.fonts if tag in font.tags)
            self._by_tag[tag] = found or self.fonts
        return self._by_tag[tag]

    def pick(self, dice: Dice, *choices: tuple[str, float]) -> Font:
        """A font by weighted tags; the tag ``any`` stands for every font."""
        tag = dice.weighted(choices) if choices else "any"
        return dice.pick(self.fonts if tag == "any" else self.tagged(tag))

    def word(self, dice: Dice, kind: str) -> Mask:
        """The mask of a random word of this kind."""
        return dice.pick(self.words[kind])

    def save(self, path: Path) -> None:
        """Writes the bank as one compressed .npz without pickled objects."""
        masks: list[Mask] = []
        for font in self.fonts:
            masks.extend(font.masks[character] for character in CHARACTERS)
        for words in self.words.values():
            masks.extend(words)
        index = {
            "fonts": [[font.name, sorted(font.tags)] for font in self.fonts],
            "words": {kind: len(words) for kind, words in self.words.items()},
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".tmp.npz")
        np.savez_compressed(
            unfinished,
            pixels=np.concatenate([mask.ravel() for mask in masks]),
            shapes=np.array([mask.shape for mask in masks], np.int32),
            index=np.array(json.dumps(index)),
        )
        unfinished.replace(path)

    @classmethod
    def load(cls, path: Path = DEFAULT_BANK) -> "GlyphBank":
        """Reads a bank that ``save`` wrote.

        Raises FileNotFoundError when it has not been built (``python -m training.synth.fonts``).
        """
        with np.load(path, allow_pickle=False) as stored:
            pixels, shapes = stored["pixels"], stored["shapes"]
            index = json.loads(str(stored["index"]))
        ends = np.cumsum(shapes[:, 0] * shapes[:, 1])
        masks = iter(
            pixels[end - rows * columns : end].reshape(rows, columns)
            for end, (rows, columns) in zip(ends.tolist(), shapes.tolist(), strict=True)
        )
        fonts = tuple(
            Font(name, frozenset(tags), dict(zip(CHARACTERS, _take(masks, 36), strict=True)))
            for name, tags in index["fonts"]
        )
        words = {kind: tuple(_take(masks, count)) for kind, count in index["words"].items()}
        return cls(fonts, words)


def _take(masks: Iterable[Mask], count: int) -> list[Mask]:
    iterator = iter(masks)
    return [next(iterator) for _ in range(count)]
