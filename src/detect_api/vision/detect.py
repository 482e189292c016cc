"""Finding plates in a picture.

``Detector`` is what the pipeline asks for; ``PlateDetector`` is the network trained on plates.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from detect_api.vision.lean import LARGEST
from detect_api.vision.models import shipped
from detect_api.vision.runtime import FloatArray, Network, load
from detect_api.vision.types import Box, Detection, Image, ModelInfo, Point

MODEL = "detector.int8.onnx"

SIDE = 640
"""Longest side in pixels of the picture that the network sees, at least."""

STILL_SIDES = (640, 512, 384)
"""The same for still pictures, where there is time to look again: in smaller sizes close plates are
found better, and of several looks the surest gives the corners."""

LEAST_CONFIDENCE = 0.4
"""Below, what is found is no plate more often than one."""

DOUBTFUL = 0.1
"""The same where something that is no plate does no harm."""

MOST_SUSPECTS = 500

OVERLAP = 0.45
"""Boxes that share so much of their union (IoU) are one plate."""

MAX_DETECTIONS = 16
"""Most plates in one picture; a street full of signs must not cost seconds a frame."""

MAX_ENLARGEMENT = 2.0
"""Small pictures are enlarged up to so many times; beyond, there is nothing to be seen."""

STRIDES = (8, 16, 32)
PADDING = 114
"""Grey that fills up the picture to multiples of the largest stride, as in training."""

Doubles = NDArray[np.float64]


class Detector(Protocol):
    """Finds the plates in pictures.

    What is found in a picture depends on that picture alone, bit for bit, whatever other pictures
    are given with it.
    """

    @property
    def models(self) -> tuple[ModelInfo, ...]: ...

    def detect(self, images: Sequence[Image], *, still: bool = False) -> list[list[Detection]]:
        """The plates of each picture, surest first, in pixels of that picture.

        ``still``: these are no frames of a video, there is time to look at several sizes.
        """
        ...


class PlateDetector:
    """The plate detector: a one-class, anchor-free network that gives boxes and corners."""

    def __init__(
        self,
        network: Network,
        *,
        side: int = SIDE,
        still_sides: Sequence[int] = STILL_SIDES,
        least: float = LEAST_CONFIDENCE,
    ) -> None:
        self._network = network
        self._side = side
        self._still_sides = tuple(still_sides)
        self._least = least

    @classmethod
    def load(cls, *, threads: int = 1, device: str = "CPU", side: int = SIDE) -> PlateDetector:
        """Raises ``Unavailable`` if the model cannot be loaded (see ``runtime.load``)."""
        path, digest = shipped(MODEL)
        network = load(path, sha256=digest, threads=threads, device=device)
        return cls(network, side=side)

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        return (self._network.info,)

    def detect(self, images: Sequence[Image], *, still: bool = False) -> list[list[Detection]]:
        return [self._detect(image, still=still) for image in images]

    def suspect(self, image: Image) -> list[Detection]:
        """All that may be a plate, however doubtful and however many: for what must not be missed.

        The picture is a frame of a video, in its size for this.
        """
        keen = PlateDetector(self._network, side=self._side, least=DOUBTFUL)
        return keen._detect(image, still=False, most=MOST_SUSPECTS)

    def _sides(self, image: Image) -> tuple[int]:
        """A frame of a video comes in its size for this (``lean.detection_size``)."""
        return (max(self._side, min(max(image.shape[:2]), LARGEST)),)

    def _detect(self, image: Image, *, still: bool, most: int = MAX_DETECTIONS) -> list[Detection]:
        # One picture a run: batches were no faster on one thread, and larger than the caches.
        sides = self._still_sides if still else self._sides(image)
        found = np.concatenate([self._look(image, side, often=not still) for side in sides])
        detections = [_detection(row, image) for row in without_doubles(found)]
        inside = [d for d in detections if d.box.width >= 1 and d.box.height >= 1]
        return inside[:most]

    def _look(self, image: Image, side: int, *, often: bool) -> Doubles:
        """What the network sees in the picture at one size; rows as ``decode`` gives them."""
        canvas, fx, fy = letterbox(image, side)
        found = decode(
            self._network.run(canvas[None], often=often)[0], canvas.shape[:2], self._least
        )
        found[:, 1::2] *= fx
        found[:, 2::2] *= fy
        return found


def letterbox(image: Image, side: int) -> tuple[Image, float, float]:
    """The picture at the network's size, and the factors by which its x and y grow back.

    Its longest side becomes ``side`` (or less: see ``MAX_ENLARGEMENT``); it lies at the top left of
    a canvas whose sides are multiples of 32.
    """
    height, width = image.shape[:2]
    scale = min(side / max(height, width), MAX_ENLARGEMENT)
    small_width, small_height = max(1, round(width * scale)), max(1, round(height * scale))
    if (small_width, small_height) != (width, height):
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = cast(Image, cv2.resize(image, (small_width, small_height), interpolation=way))
    canvas = np.full((_canvas(small_height), _canvas(small_width), 3), PADDING, np.uint8)
    canvas[:small_height, :small_width] = image
    return canvas, width / small_width, height / small_height


def _canvas(size: int) -> int:
    return -(-size // STRIDES[-1]) * STRIDES[-1]


def decode(cells: FloatArray, size: tuple[int, int], least: float) -> Doubles:
    """The boxes in the network's output for one picture of ``size`` (height, width).

    ``cells`` is float32 of shape (cells, 13), cells row by row at strides 8, 16, 32: logit; x and y
    of the box's centre from the cell's, in strides; log of its width and height in strides; the
    corners clockwise from the top left as offsets from the box's own, in half boxes. Returns
    float64 rows (confidence, x1, y1, x2, y2, and x, y of the four corners) in pixels, those at or
    above ``least`` only.
    """
    wanted = cells[:, 0] >= np.log(least / (1 - least))
    values = cells[wanted].astype(np.float64)
    grid = _grid(*size)[wanted]
    stride = grid[:, 2:]
    center = grid[:, :2] + values[:, 1:3] * stride
    half = np.exp(np.clip(values[:, 3:5], -4, 5)) * stride / 2
    corners = center[:, None] + (values[:, 5:].reshape(-1, 4, 2) + _UNIT_CORNERS) * half[:, None]
    confidence = 1 / (1 + np.exp(-values[:, :1]))
    columns = [confidence, center - half, center + half, corners.reshape(-1, 8)]
    return np.concatenate(columns, axis=1)


_UNIT_CORNERS = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], dtype=np.float64)


@lru_cache(maxsize=16)
def _grid(height: int, width: int) -> Doubles:
    """(x, y, stride) of each cell's centre, shape (cells, 3)."""
    levels = []
    for stride in STRIDES:
        rows, columns = np.mgrid[0 : height // stride, 0 : width // stride]
        xs, ys = (columns.ravel() + 0.5) * stride, (rows.ravel() + 0.5) * stride
        levels.append(np.stack([xs, ys, np.full(xs.shape, float(stride))], axis=1))
    return np.concatenate(levels)


def without_doubles(found: Doubles) -> Doubles:
    """Leave out the boxes that overlap a surer one (greedy non-maximum suppression).

    Takes and returns rows as ``decode`` gives them; the result is in order, surest first.
    """
    rest = found[np.lexsort((found[:, 2], found[:, 1], -found[:, 0]))]
    kept = []
    while len(rest):
        first, rest = rest[0], rest[1:]
        kept.append(first)
        rest = rest[_iou(first, rest) < OVERLAP]
    return np.array(kept).reshape(-1, found.shape[1])


def _iou(row: Doubles, others: Doubles) -> Doubles:
    top_left = np.maximum(row[1:3], others[:, 1:3])
    bottom_right = np.minimum(row[3:5], others[:, 3:5])
    shared = np.clip(bottom_right - top_left, 0, None).prod(axis=1)
    areas = (others[:, 3:5] - others[:, 1:3]).prod(axis=1)
    return cast(Doubles, shared / ((row[3:5] - row[1:3]).prod() + areas - shared))


def _detection(row: Doubles, image: Image) -> Detection:
    """A row as a Detection, its box cut at the picture's edges.

    The box is the rectangle around the corners, which fits plates better than the box that the
    network gives beside them.
    """
    height, width = image.shape[:2]
    quad = row[5:].reshape(4, 2)
    (x1, y1), (x2, y2) = quad.min(axis=0).tolist(), quad.max(axis=0).tolist()
    box = Box(max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height)))
    a, b, c, d = (cast(Point, tuple(point)) for point in quad.tolist())
    return Detection(box, (a, b, c, d), float(row[0]))
