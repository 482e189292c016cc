"""Finding plates in a picture.

``Detector`` is what the pipeline asks for. It is filled for now by ``TextFinder``: the text
detector of PP-OCRv6 with rules on shape that leave what may be a plate. A detector trained on
plates replaces it behind the same interface.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from detect_api.core.errors import Unavailable
from detect_api.vision.runtime import FloatArray, Network, load
from detect_api.vision.types import Box, Detection, Image, ModelInfo, Point

MODEL = "PP-OCRv6_det_small.onnx"
MODEL_SHA256 = "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f"

INPUT_SIDE = 640
"""Longest side of the network's input in pixels. 960 takes 2.4 times as long."""

Quad = NDArray[np.float32]
"""float32, shape (4, 2): (x, y) of the corners, clockwise from the top left."""


class Detector(Protocol):
    """Finds the plates in pictures.

    What is found in a picture depends on that picture alone, bit for bit, whatever other pictures
    are given with it.
    """

    @property
    def models(self) -> tuple[ModelInfo, ...]: ...

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """The plates of each picture, surest first, in pixels of that picture."""
        ...


def rapidocr_model(name: str) -> Path:
    """Where the ``rapidocr`` wheel keeps a model file.

    The package is located without importing it: importing would configure logging and pull in
    its own inference session.
    """
    spec = importlib.util.find_spec("rapidocr")
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable(
            "The package rapidocr, which carries the models, is not installed: pip install "
            "rapidocr.",
            code="model_unavailable",
        )
    return Path(spec.submodule_search_locations[0]) / "models" / name


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text: its quadrilateral, in pixels of the picture, and the network's score."""

    quad: Quad
    score: float

    @property
    def width(self) -> float:
        return float(np.linalg.norm(self.quad[1] - self.quad[0]))

    @property
    def height(self) -> float:
        return float(np.linalg.norm(self.quad[3] - self.quad[0]))


class TextFinder:
    """The text detector of PP-OCRv6 (small) as a plate finder."""

    def __init__(self, network: Network, *, side: int = INPUT_SIDE) -> None:
        self._network = network
        self._side = side

    @classmethod
    def load(cls, *, threads: int = 1, device: str = "CPU", side: int = INPUT_SIDE) -> TextFinder:
        """Raises ``Unavailable`` if the model cannot be loaded (see ``runtime.load``)."""
        path = rapidocr_model(MODEL)
        return cls(load(path, sha256=MODEL_SHA256, threads=threads, device=device), side=side)

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        return (self._network.info,)

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        return [self._detect(image) for image in images]

    def _detect(self, image: Image) -> list[Detection]:
        height, width = image.shape[:2]
        lines = [
            line for line in pair_rows(self._lines(image)) if plate_shaped(line, width, height)
        ]
        lines.sort(key=lambda line: (-line.score, *line.quad[0].tolist()))
        return [_detection(line) for line in without_doubles(lines)[:MAX_DETECTIONS]]

    def _lines(self, image: Image) -> list[Line]:
        """The lines of text in a picture, each seen at a size at which text can be told.

        The first look shrinks the whole picture, which blends small plates with the grille around
        them; where it suspects text, a second look goes over that place alone, larger.
        """
        height, width = image.shape[:2]
        scale = min(self._side / max(height, width), MAX_ENLARGEMENT)
        coarse = self._probabilities(image, round(width * scale), round(height * scale))
        tiles = tiles_around(suspects(coarse, width, height), width, height)
        lines: list[Line] = []
        if scale >= SHARP_ENOUGH:
            lines = lines_of_map(coarse, width, height)
            small = [line for line in lines if line.height * scale < SMALL]
            centers = [line.quad.mean(axis=0) for line in small]
            tiles = [tile for tile in tiles if any(tile.holds(x, y) for x, y in centers)]
        for tile in tiles[:MAX_TILES]:
            lines += self._second_look(image, tile)
        return lines

    def _second_look(self, image: Image, tile: Tile) -> list[Line]:
        part = image[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]
        zoom = TILE_WIDTH / tile.width
        fine = self._probabilities(part, TILE_WIDTH, round(tile.height * zoom))
        offset = np.array([tile.x, tile.y], dtype=np.float32)
        found = lines_of_map(fine, tile.width, tile.height)
        return [Line(line.quad + offset, line.score) for line in found if tile.whole(line, image)]

    def _probabilities(self, image: Image, width: int, height: int) -> FloatArray:
        """How likely each pixel lies in text, with the picture at about width x height."""
        size = (_multiple_of_32(width), _multiple_of_32(height))
        shrinks = size[0] < image.shape[1]
        resized = cv2.resize(
            image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        )
        array = (resized.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]
        return cast(FloatArray, self._network.run(array)[0, 0])


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of the picture that gets a second look, in whole pixels."""

    x: int
    y: int
    width: int
    height: int

    def holds(self, x: float, y: float) -> bool:
        """Whether a point lies well inside."""
        return (
            abs(x - self.x - self.width / 2) < self.width * 0.35
            and abs(y - self.y - self.height / 2) < self.height * 0.35
        )

    def whole(self, line: Line, image: Image) -> bool:
        """Whether a line (in the tile's pixels) is not cut by an edge that is not the picture's."""
        (x1, y1), (x2, y2) = line.quad.min(axis=0), line.quad.max(axis=0)
        return bool(
            (x1 > 2 or self.x == 0)
            and (y1 > 2 or self.y == 0)
            and (x2 < self.width - 2 or self.x + self.width == image.shape[1])
            and (y2 < self.height - 2 or self.y + self.height == image.shape[0])
        )


# The second look's network input is 320 x 192, about 13 ms with one thread; it covers a suspect
# with as much again around it, magnified at most MAX_ENLARGEMENT times.
TILE_WIDTH, TILE_HEIGHT = 320, 192
MAX_TILES = 6
SUSPECT = 0.2
SHARP_ENOUGH = 0.75
SMALL = 14.0


def suspects(probabilities: FloatArray, width: int, height: int) -> list[tuple[float, Box]]:
    """Where a coarse map hints at text: (peak, box in the picture), the clearest first."""
    mask = (probabilities > SUSPECT).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    fx, fy = width / probabilities.shape[1], height / probabilities.shape[0]
    found = []
    for contour in contours:
        x, y, w, h = cv2.boundingRect(contour)
        peak = float(probabilities[y : y + h, x : x + w].max())
        if peak < PIXEL:
            continue
        found.append((peak, Box(x * fx, y * fy, (x + w) * fx, (y + h) * fy)))
    return sorted(found, key=lambda item: (-item[0], item[1].x1, item[1].y1))


def tiles_around(found: Sequence[tuple[float, Box]], width: int, height: int) -> list[Tile]:
    """Tiles that hold every suspect, one tile for several where they stand together."""
    tiles: list[Tile] = []
    for _, box in found:
        x, y = box.center
        if any(tile.holds(x, y) for tile in tiles):
            continue
        tile_width = max(2 * box.width, 6 * box.height, TILE_WIDTH / MAX_ENLARGEMENT)
        tile_width = min(max(tile_width, TILE_WIDTH if width > TILE_WIDTH else 0), width)
        tile_height = min(tile_width * TILE_HEIGHT / TILE_WIDTH, height)
        left = min(max(x - tile_width / 2, 0), width - tile_width)
        top = min(max(y - tile_height / 2, 0), height - tile_height)
        tiles.append(Tile(round(left), round(top), round(tile_width), round(tile_height)))
    return tiles


def without_doubles(lines: Sequence[Line]) -> list[Line]:
    """Leave out what covers a surer line of the list (given surest first)."""
    kept: list[Line] = []
    for line in lines:
        if all(_cover(line, other) < 0.5 for other in kept):
            kept.append(line)
    return kept


def _cover(a: Line, b: Line) -> float:
    """The shared area of two lines' upright boxes over the smaller one's area."""
    (ax1, ay1), (ax2, ay2) = a.quad.min(axis=0), a.quad.max(axis=0)
    (bx1, by1), (bx2, by2) = b.quad.min(axis=0), b.quad.max(axis=0)
    shared = max(0, min(ax2, bx2) - max(ax1, bx1)) * max(0, min(ay2, by2) - max(ay1, by1))
    return float(shared / min((ax2 - ax1) * (ay2 - ay1), (bx2 - bx1) * (by2 - by1)))


MAX_ENLARGEMENT = 2.0
"""Small pictures are enlarged up to so many times; beyond, there is nothing to be seen."""

MAX_DETECTIONS = 16
"""Most plates in one picture; a street full of signs must not cost seconds a frame."""

# Differentiable Binarization (Liao et al. 2020, arXiv:1911.08947, section 3.4): text is where the
# map passes PIXEL; a region counts if its mean passes SCORE; regions come out shrunken and grow
# back by area * UNCLIP / perimeter. The values are those that PP-OCR uses with these weights.
PIXEL = 0.3
SCORE = 0.5
UNCLIP = 1.6
_MIN_SIDE = 3.0


def lines_of_map(probabilities: FloatArray, width: int, height: int) -> list[Line]:
    """The lines of text in a probability map, in pixels of a width x height picture."""
    mask = (probabilities > PIXEL).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    scale = np.array(
        [width / probabilities.shape[1], height / probabilities.shape[0]], dtype=np.float32
    )
    lines = []
    for contour in contours:
        center, (rect_width, rect_height), angle = cv2.minAreaRect(contour)
        # A contour runs through pixel centres: the region is one pixel larger each way.
        rect_width, rect_height = rect_width + 1, rect_height + 1
        if min(rect_width, rect_height) < _MIN_SIDE:
            continue
        score = _mean_inside(probabilities, contour)
        if score < SCORE:
            continue
        grow = rect_width * rect_height * UNCLIP / (rect_width + rect_height)
        # area * UNCLIP / perimeter on either side = width * height * UNCLIP / (width + height)
        points = cv2.boxPoints((center, (rect_width + grow, rect_height + grow), angle))
        quad = _clockwise((np.asarray(points, dtype=np.float32) + 0.5) * scale)
        np.clip(quad, 0, (width, height), out=quad)
        line = Line(quad, score)
        if line.width >= 1 and line.height >= 1:
            lines.append(line)
    return lines


def _mean_inside(probabilities: FloatArray, contour: NDArray[Any]) -> float:
    x, y, width, height = cv2.boundingRect(contour)
    inside = np.zeros((height, width), np.uint8)
    cv2.drawContours(inside, [contour], -1, 1, cv2.FILLED, offset=(-x, -y))
    return float(cv2.mean(probabilities[y : y + height, x : x + width], inside)[0])


def _clockwise(points: Quad) -> Quad:
    """The corners of a rectangle from the top left on, the long way the text runs first.

    Text is taken to run within 45 degrees of level; plates beyond that are not read.
    """
    center = points.mean(axis=0)
    angles = np.arctan2(points[:, 1] - center[1], points[:, 0] - center[0])
    ordered = points[np.argsort(angles, kind="stable")]
    # By angle the corners are clockwise (y runs down) but may start at any of the upper two.
    edges = np.roll(ordered, -1, axis=0) - ordered
    start = int(np.argmax(edges[:, 0] - np.abs(edges[:, 1])))
    return np.roll(ordered, -start, axis=0)


ROW_WIDTHS = 2.2
ROW_OVERLAP = 0.6


def pair_rows(lines: Sequence[Line]) -> list[Line]:
    """Put the two rows of a two-line plate together; other lines stay as they are.

    Two lines are the rows of one plate if one stands under the other with less than half a row
    between, they are about equally tall, and neither is over ``ROW_WIDTHS`` times as wide.
    """
    order = sorted(range(len(lines)), key=lambda i: (lines[i].quad[:, 1].mean(), i))
    used: set[int] = set()
    result: list[Line] = []
    for position, upper in enumerate(order):
        if upper in used:
            continue
        below = [i for i in order[position + 1 :] if i not in used]
        partners = [
            (gap, i) for i in below if (gap := _row_gap(lines[upper], lines[i])) is not None
        ]
        if partners:
            _, lower = min(partners)
            used |= {upper, lower}
            result.append(_stack(lines[upper], lines[lower]))
        else:
            used.add(upper)
            result.append(lines[upper])
    return result


def _row_gap(upper: Line, lower: Line) -> float | None:
    """Distance between two lines in row heights if they may be rows of one plate."""
    heights = sorted((upper.height, lower.height))
    widths = sorted((upper.width, lower.width))
    if heights[1] > 1.8 * heights[0] or widths[1] > ROW_WIDTHS * widths[0]:
        return None
    if widths[1] > 5.5 * heights[1]:  # a row of a two-line plate has at most six characters
        return None
    left = max(upper.quad[:, 0].min(), lower.quad[:, 0].min())
    right = min(upper.quad[:, 0].max(), lower.quad[:, 0].max())
    if right - left < ROW_OVERLAP * widths[0]:
        return None
    along = (upper.quad[1] - upper.quad[0]) / upper.width
    down = np.array([-along[1], along[0]])
    apart = float(down @ (lower.quad.mean(axis=0) - upper.quad.mean(axis=0)))
    gap = (apart - (upper.height + lower.height) / 2) / heights[0]
    return gap if -0.6 < gap < 0.5 else None


def _stack(upper: Line, lower: Line) -> Line:
    points = np.concatenate([upper.quad, lower.quad])
    along = (upper.quad[1] - upper.quad[0]) + (lower.quad[1] - lower.quad[0])
    along = along / np.linalg.norm(along)
    down = np.array([-along[1], along[0]], dtype=np.float32)
    x, y = points @ along, points @ down
    corners = [(x.min(), y.min()), (x.max(), y.min()), (x.max(), y.max()), (x.min(), y.max())]
    quad = np.array([a * along + b * down for a, b in corners], dtype=np.float32)
    return Line(quad, min(upper.score, lower.score))


MIN_HEIGHT = 8.0
ASPECT = (1.0, 9.0)
MAX_TILT = math.tan(math.radians(40))
MAX_WIDTH = 0.9


def plate_shaped(line: Line, width: int, height: int) -> bool:
    """Whether a line (or two rows) may be a plate by its shape alone.

    Not too flat to be read, width to height as plates have it (square two-line plates to long
    one-line ones), about level, and not spread over the whole picture.
    """
    along = line.quad[1] - line.quad[0]
    return (
        line.height >= MIN_HEIGHT
        and ASPECT[0] <= line.width / line.height <= ASPECT[1]
        and abs(along[1]) <= MAX_TILT * along[0]
        and line.width <= MAX_WIDTH * width
        and line.height <= 0.6 * height
    )


def _detection(line: Line) -> Detection:
    (x1, y1), (x2, y2) = line.quad.min(axis=0).tolist(), line.quad.max(axis=0).tolist()
    a, b, c, d = (cast(Point, tuple(point)) for point in line.quad.tolist())
    return Detection(Box(x1, y1, x2, y2), (a, b, c, d), line.score)


def _multiple_of_32(size: float) -> int:
    return max(32, round(size / 32) * 32)
