"""Arithmetic on detections in numpy: letterbox, decode, overlap, suppression.

A detection is a row of 13 numbers: x1, y1, x2, y2, score, then x and y of the top left, top
right, bottom right and bottom left corner; pixels of the picture it was found in.

The network has cells 8, 16 and 32 pixels wide. Each gives 13 numbers, in units of its stride:

=======  ==========================================================================
0        logit of "a plate is here"
1, 2     centre of the box, from the centre of the cell
3, 4     natural logarithm of the box's width and height
5 .. 12  top left, top right, bottom right, bottom left corner (x, y), from the corner
         of the box with the same name, in halves of the box's width and height
=======  ==========================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

STRIDES = (8, 16, 32)
OUTPUTS = 13
LOG_SIZE_LIMITS = (-4.0, 5.0)

Image = NDArray[np.uint8]
"""uint8, shape (height, width, 3), BGR."""
Floats = NDArray[np.float32]
Network = Callable[[Image], Floats]
"""A picture whose sides are multiples of 32 -> raw outputs (cells, 13)."""

PADDING = 114
_CORNERS = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], dtype=np.float32)


def letterbox(
    image: Image, width: int, height: int, *, largest: float = 2.0
) -> tuple[Image, float]:
    """The picture at the top left of a grey canvas, aspect kept, and the factor used.

    The factor is never above ``largest``: enlarging a thumbnail shows nothing new.
    """
    factor = min(width / image.shape[1], height / image.shape[0], largest)
    size = (
        max(1, round(image.shape[1] * factor)),
        max(1, round(image.shape[0] * factor)),
    )
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    canvas = np.full((height, width, 3), PADDING, np.uint8)
    canvas[: size[1], : size[0]] = cv2.resize(image, size, interpolation=interpolation)
    return canvas, factor


def fitted(image: Image, side: int, *, largest: float = 2.0) -> tuple[Image, float]:
    """The picture with ``side`` as its longer side, padded to multiples of 32."""
    factor = min(side / max(image.shape[:2]), largest)
    height, width = (32 * max(1, -(-round(v * factor) // 32)) for v in image.shape[:2])
    return letterbox(image, width, height, largest=factor)


def decode(raw: Floats, width: int, height: int, threshold: float) -> Floats:
    """Detections (n, 13) scored ``threshold`` or more in the raw outputs of one picture."""
    rows: list[Floats] = []
    start = 0
    least = np.log(threshold / (1 - threshold))
    for stride in STRIDES:
        columns = width // stride
        count = columns * (height // stride)
        level = raw[start : start + count]
        start += count
        at = np.flatnonzero(level[:, 0] > least)
        if not len(at):
            continue
        values = level[at]
        cell = np.stack((at % columns, at // columns), 1) + 0.5
        centre = (cell + values[:, 1:3]) * stride
        half = np.exp(np.clip(values[:, 3:5], *LOG_SIZE_LIMITS)) * (stride / 2)
        corners = centre[:, None] + half[:, None] * (values[:, 5:].reshape(-1, 4, 2) + _CORNERS)
        score = 1 / (1 + np.exp(-values[:, :1]))
        rows.append(
            np.concatenate(
                (centre - half, centre + half, score, corners.reshape(-1, 8)), 1, dtype=np.float32
            )
        )
    return np.concatenate(rows) if rows else np.zeros((0, 13), np.float32)


def overlap(first: NDArray[np.floating], second: NDArray[np.floating]) -> Floats:
    """Intersection over union of boxes (n, 4+) with boxes (m, 4+): (n, m)."""
    a, b = first[:, None, :4], second[None, :, :4]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    common = np.prod(np.clip(sides, 0, None), -1)
    areas = np.prod(a[..., 2:] - a[..., :2], -1) + np.prod(b[..., 2:] - b[..., :2], -1)
    return cast(Floats, (common / np.maximum(areas - common, 1e-9)).astype(np.float32))


def suppress(detections: Floats, limit: float = 0.45) -> Floats:
    """The best detections, none overlapping a better one by more than ``limit``."""
    rest = detections[np.argsort(-detections[:, 4], kind="stable")][:300]
    kept: list[Floats] = []
    while len(rest):
        kept.append(rest[0])
        rest = rest[1:][overlap(rest[:1], rest[1:])[0] <= limit]
    return np.stack(kept) if kept else np.zeros((0, 13), np.float32)


def enclosing(corners: NDArray[np.floating]) -> Floats:
    """The rectangles (n, 4) around corners (n, 8)."""
    points = corners.reshape(-1, 4, 2)
    return np.concatenate((points.min(1), points.max(1)), 1, dtype=np.float32)


def detect(
    network: Network, image: Image, sides: tuple[int, ...] = (640,), threshold: float = 0.05
) -> Floats:
    """Detections in one picture, best first, found at each size of its longer side together."""
    found: list[Floats] = []
    for side in sides:
        canvas, factor = fitted(image, side)
        rows = decode(network(canvas), canvas.shape[1], canvas.shape[0], threshold)
        rows[:, :4] /= factor
        rows[:, 5:] /= factor
        found.append(rows)
    return suppress(np.concatenate(found))
