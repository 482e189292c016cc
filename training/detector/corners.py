"""How exact the corners are, on synthetic plates whose corners are known.

    python -m training.detector.corners MODEL [--canvases 300]

Plates of a seed that training does not use are pasted into pictures of ``plates_val`` and damaged
as in training. By width of the plate in the network's input: share found (IoU 0.5, score 0.4),
median and 90th percentile of the mean distance of the four corners, in heights of the plate.
"""

from __future__ import annotations

import argparse
import sys
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from training.detector import evaluate, running
from training.detector.boxes import Image, Network, decode, overlap, suppress
from training.detector.canvas import Canvases
from training.detector.damage import Damage
from training.detector.feed import plate_pool
from training.detector.paste import PlatePaster, exact_error
from training.detector.scenes import Scene

SEED = 1_000_003
SIDE = 448
WIDTHS = (10, 16, 24, 40, 80, 160, 400)


def backgrounds(side: int = 608) -> list[Scene]:
    """The pictures of ``plates_val``, their plates marked as such."""
    scenes = []
    for picture in evaluate.labelled(evaluate.LABELS):
        factor = side / max(picture.image.shape[:2])
        size = [round(v * factor) for v in picture.image.shape[1::-1]]
        image: Image = np.asarray(
            cv2.resize(picture.image, size, interpolation=cv2.INTER_AREA), np.uint8
        )
        scenes.append(
            Scene(
                image=image,
                boxes=picture.box[None] * np.float32(factor),
                corners=np.zeros((1, 8), np.float32),
                cornered=np.zeros(1, np.bool_),
                ignored=np.zeros((0, 4), np.float32),
                hard=np.zeros((0, 4), np.float32),
                complete=False,
                weight=1.0,
            )
        )
    return scenes


def measure(network: Network, canvases: int) -> list[str]:
    """Table rows by width of the plate."""
    source = Canvases(backgrounds(), PlatePaster(plate_pool(400, SEED)), Damage(SEED))
    found: list[tuple[float, float]] = []
    for index in range(canvases):
        image, plates = source.make(np.random.default_rng([SEED, index]), SIDE)
        rows = suppress(decode(network(image), SIDE, SIDE, 0.4))
        for at in np.flatnonzero((plates.trust == 1) & plates.asked()):
            match = overlap(rows, plates.boxes[at][None])[:, 0]
            width = float(plates.boxes[at][2] - plates.boxes[at][0])
            error = np.nan
            if match.max(initial=0) >= 0.5:
                error = exact_error(rows[int(match.argmax()), 5:], plates.corners[at])
            found.append((width, error))
    table = []
    widths, errors = np.array(found).T
    for low, high in pairwise(WIDTHS):
        chosen = errors[(widths >= low) & (widths < high)]
        seen = chosen[~np.isnan(chosen)]
        if len(seen):
            table.append(
                f"| {low} .. {high} | {len(chosen)} | {len(seen) / len(chosen):.3f} "
                f"| {np.median(seen):.3f} | {np.percentile(seen, 90):.3f} |"
            )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("--canvases", type=int, default=300)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    table = measure(running.load(options.model), options.canvases)
    header = "| width | n | found | median error | 90% |\n|---|---|---|---|---|"
    sys.stdout.write("\n".join((header, *table)) + "\n")


if __name__ == "__main__":
    main()
