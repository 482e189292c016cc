"""What is to be found in a canvas, and how it moves when the canvas is turned or cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.detector.boxes import Floats, enclosing

Mask = NDArray[Any]
SMALLEST = (7.0, 3.5)
"""Width and height in pixels below which a plate is neither asked for nor punished."""
VISIBLE = 0.45
"""Share of a plate that must be visible for it to be asked for."""


@dataclass(frozen=True, slots=True)
class Plates:
    """Plates of one canvas: corners (n, 8), visible boxes (n, 4), visible shares (n,).

    ``trust`` (n,) is the weight of the corners in training: 1 exact, 0 unknown (then they are
    those of the box). ``ignored`` (m, 4): places where a box is neither right nor wrong;
    ``open_`` (k, 4): parts of the canvas where plates may be without a label.
    """

    corners: Floats
    boxes: Floats
    visible: Floats
    trust: Floats
    ignored: Floats
    open_: Floats

    def moved(self, matrix: NDArray[np.floating], width: float, height: float) -> Plates:
        """After an affine map (2, 3) onto a canvas of that size; boxes are cut to it."""
        corners = _mapped(self.corners, matrix)
        known = (self.trust > 0) & (self.visible > 0.97)
        boxes = np.where(
            known[:, None], enclosing(corners), enclosing(_mapped(_as_corners(self.boxes), matrix))
        )
        cut = clipped(boxes, width, height)
        share = _areas(cut) / np.maximum(_areas(boxes), 1e-6)
        visible = (self.visible * share).astype(np.float32)
        keep = visible > 0.02
        return Plates(
            corners=corners[keep],
            boxes=cut[keep],
            visible=visible[keep],
            trust=np.where(visible > 0.97, self.trust, 0).astype(np.float32)[keep],
            ignored=_within(_mapped(_as_corners(self.ignored), matrix), width, height),
            open_=_within(_mapped(_as_corners(self.open_), matrix), width, height),
        )

    def asked(self) -> Mask:
        """Which plates must be found; the others are ignored."""
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        large: Mask = np.all(sides >= np.array(SMALLEST, np.float32), axis=1)
        return large & (self.visible >= VISIBLE)

    def touches(self, box: NDArray[np.floating]) -> bool:
        """Whether a box (4,) meets any plate or ignored place."""
        both = np.concatenate((self.boxes, self.ignored))
        return bool(
            (
                (np.minimum(both[:, 2], box[2]) > np.maximum(both[:, 0], box[0]))
                & (np.minimum(both[:, 3], box[3]) > np.maximum(both[:, 1], box[1]))
            ).any()
        )

    def with_plate(
        self, corners: Floats, width: float, height: float, *, instead_of: int | None = None
    ) -> Plates:
        """One more exact plate (8,), or one in the place of another."""
        box = enclosing(corners[None])
        cut = clipped(box, width, height)
        share = (_areas(cut) / np.maximum(_areas(box), 1e-6)).astype(np.float32)
        keep = np.arange(len(self.boxes)) != (-1 if instead_of is None else instead_of)
        return Plates(
            corners=np.concatenate((self.corners[keep], corners[None])),
            boxes=np.concatenate((self.boxes[keep], cut)),
            visible=np.concatenate((self.visible[keep], share)),
            trust=np.concatenate((self.trust[keep], (share > 0.97).astype(np.float32))),
            ignored=self.ignored,
            open_=self.open_,
        )


def joined(parts: list[Plates]) -> Plates:
    """The plates of several parts of one canvas."""
    return Plates(
        corners=np.concatenate([part.corners for part in parts]),
        boxes=np.concatenate([part.boxes for part in parts]),
        visible=np.concatenate([part.visible for part in parts]),
        trust=np.concatenate([part.trust for part in parts]),
        ignored=np.concatenate([part.ignored for part in parts]),
        open_=np.concatenate([part.open_ for part in parts]),
    )


def clipped(boxes: Floats, width: float, height: float) -> Floats:
    """Boxes (n, 4) cut to the canvas."""
    limits = np.array([width, height, width, height], np.float32)
    return np.clip(boxes, 0, limits).astype(np.float32)


def _within(corners: Floats, width: float, height: float) -> Floats:
    boxes = clipped(enclosing(corners), width, height)
    return boxes[_areas(boxes) > 1]


def _as_corners(boxes: Floats) -> Floats:
    return boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]]


def _mapped(corners: Floats, matrix: NDArray[np.floating]) -> Floats:
    points = corners.reshape(-1, 2) @ matrix[:, :2].T + matrix[:, 2]
    return np.asarray(points.reshape(-1, 8), np.float32)


def _areas(boxes: Floats) -> Floats:
    return np.asarray(np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), 1), np.float32)
