"""Reader samples: a plate's crop with its text; and contact sheets to look at.

``python -m training.synth.samples --sheet out.png [--layout us] [--seed n]``
"""

import argparse
from collections import deque
from pathlib import Path

import cv2
import numpy as np

from training.synth.camera import Camera
from training.synth.canvas import Image
from training.synth.dice import Dice
from training.synth.glyphs import GlyphBank
from training.synth.plates import PlateMaker
from training.synth.video import Mosaic, damage

READER_HEIGHT, READER_WIDTH = 64, 160
VIDEO_SHARE = 0.13
"""Share of samples that went through a video codec."""
_FILMED = 36.0
"""Plates in videos are small: up to about this many pixels high."""


class SampleSource:
    """An endless source of (crop, text); the same seed gives the same samples."""

    def __init__(
        self, seed: int, glyphs: GlyphBank | None = None, layout: str | None = None
    ) -> None:
        rng = np.random.default_rng(seed)
        self._dice = Dice(rng)
        self._layout = layout
        self._maker = PlateMaker(glyphs if glyphs is not None else GlyphBank.load(), rng)
        self._camera = Camera(rng)
        self._damaged: deque[tuple[Image, str]] = deque()

    def sample(self) -> tuple[Image, str]:
        """A crop, uint8 BGR of any size, and its text of 3 to 10 characters [A-Z0-9]."""
        if self._dice.chance(VIDEO_SHARE):
            while not self._damaged:
                self._film()
            return self._damaged.popleft()
        plate = self._maker.plate(self._layout)
        return self._camera.shoot(plate), plate.text

    def _film(self) -> None:
        """Sends a mosaic of new crops through a codec."""
        mosaic, texts = Mosaic(), []
        while True:
            plate = self._maker.plate(self._layout)
            if not mosaic.add(self._camera.expose(plate, 0.3, _FILMED).image):
                break
            texts.append(plate.text)
        self._damaged.extend(zip(damage(self._dice, mosaic), texts, strict=True))


def stretch(crop: Image) -> Image:
    """The crop as the reader takes it: uint8 (64, 160, 3), both axes stretched."""
    way = cv2.INTER_AREA if crop.shape[1] > 1.5 * READER_WIDTH else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(crop, (READER_WIDTH, READER_HEIGHT), interpolation=way), np.uint8)


def contact_sheet(source: SampleSource, columns: int = 10, rows: int = 10) -> Image:
    """Samples with their text below, enlarged to one size but with their own proportions."""
    lines = []
    for _ in range(rows):
        cells = []
        for _ in range(columns):
            crop, text = source.sample()
            height, width = crop.shape[:2]
            scale = min(180 / width, 90 / height)
            size = (max(1, int(width * scale)), max(1, int(height * scale)))
            cell = np.zeros((108, 184, 3), np.uint8)
            cell[: size[1], : size[0]] = cv2.resize(crop, size, interpolation=cv2.INTER_LINEAR)
            label = f"{text} {width}x{height}"
            cv2.putText(cell, label, (2, 104), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 255, 0), 1)
            cells.append(cell)
        lines.append(np.hstack(cells))
    return np.vstack(lines)


def main() -> None:
    """Writes a contact sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sheet", type=Path, required=True)
    parser.add_argument("--layout")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    source = SampleSource(arguments.seed, layout=arguments.layout)
    cv2.imwrite(str(arguments.sheet), contact_sheet(source))


if __name__ == "__main__":
    main()
