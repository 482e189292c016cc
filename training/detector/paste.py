"""Synthetic plates, pasted into canvases with exactly known corners."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.detector.boxes import Floats, Image, enclosing
from training.detector.targets import Plates

Quad = NDArray[np.floating]
"""Four corners (4, 2), clockwise from the top left, in pixels from the canvas's outer edge."""


@dataclass(frozen=True, slots=True)
class PlatePaster:
    """Pastes plates of a fixed pool; ``pool`` holds flat, clean plates (BGR)."""

    pool: list[Image]

    def paste(self, rng: np.random.Generator, image: Image, plates: Plates) -> Plates:
        """Paste one to three plates into ``image``, in place: over others or elsewhere."""
        for _ in range(int(rng.integers(1, 4))):
            whole = np.flatnonzero(plates.asked() & (plates.visible > 0.98))
            if len(whole) and rng.random() < 0.6:
                plates = self._cover(rng, image, plates, int(rng.choice(whole)))
            else:
                plates = self._add(rng, image, plates)
        return plates

    def _cover(self, rng: np.random.Generator, image: Image, plates: Plates, index: int) -> Plates:
        """A plate over the one at ``index``, standing as that one does."""
        if plates.trust[index] == 1:
            return plates
        old = plates.corners[index].reshape(4, 2).astype(np.float64)
        across = float(np.linalg.norm(old[1] - old[0]) + np.linalg.norm(old[2] - old[3]))
        along = float(np.linalg.norm(old[3] - old[0]) + np.linalg.norm(old[2] - old[1]))
        plate = self._like(rng, across / max(along, 1e-6))
        middle = old.mean(0)
        quad = middle + (old - middle) * rng.uniform(1.02, 1.15, 2)
        quad += rng.normal(0, 0.02, (4, 2)) * along / 2
        x1, y1, x2, y2 = (int(v) for v in plates.boxes[index])
        under = image[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)].mean()
        gain = (under + rng.uniform(-10, 50)) / max(40.0, float(plate.mean()))
        draw(rng, image, plate, quad, float(np.clip(gain, 0.15, 1.3)))
        return plates.with_plate(
            quad.reshape(8).astype(np.float32), image.shape[1], image.shape[0], instead_of=index
        )

    def _add(self, rng: np.random.Generator, image: Image, plates: Plates) -> Plates:
        height, width = image.shape[:2]
        plate = self.pool[int(rng.integers(len(self.pool)))]
        across = float(np.exp(rng.uniform(np.log(11), np.log(0.8 * width))))
        quad = seen(rng, plate.shape[1] / plate.shape[0]) * across
        box = enclosing(quad.reshape(1, 8))[0]
        size = box[2:] - box[:2]
        space = np.array([width, height]) - size
        # A few plates are cut by the edge of the picture, as cars that enter are.
        slack = size * (0.3 if rng.random() < 0.15 else 0.0)
        low, high = np.minimum(-slack, space), np.maximum(space + slack, -slack + 1e-6)
        quad = quad - box[:2] + rng.uniform(low, np.maximum(high, low + 1e-6))
        box = enclosing(quad.reshape(1, 8))[0]
        margin = 0.15 * size[[0, 1, 0, 1]] * [-1, -1, 1, 1]
        if plates.touches(box + margin):
            return plates
        draw(rng, image, plate, quad, float(rng.uniform(0.3, 1.1)))
        return plates.with_plate(quad.reshape(8).astype(np.float32), width, height)

    def _like(self, rng: np.random.Generator, aspect: float) -> Image:
        """A plate whose sides stand to each other nearly as asked."""
        tries = [self.pool[int(i)] for i in rng.integers(len(self.pool), size=8)]
        wanted = math.log(max(aspect, 0.2))
        return min(tries, key=lambda plate: abs(math.log(plate.shape[1] / plate.shape[0]) - wanted))


def seen(rng: np.random.Generator, aspect: float) -> Quad:
    """Corners of a plate in front of a camera; the upper and lower edges are about 1 long.

    The plate turns about its three axes (mostly a little), the camera is 4 to 30 widths away.
    """
    wide = rng.random() < 0.3
    yaw, pitch, roll = np.radians(
        rng.uniform([-55, -35, -15], [55, 35, 15]) if wide else rng.normal(0, [18, 10, 4])
    )
    flat = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2 * [1, 1 / aspect]
    flat = flat @ np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
    x = flat[:, 0] * np.cos(yaw)
    depth = flat[:, 0] * np.sin(yaw)
    y = flat[:, 1] * np.cos(pitch) - depth * np.sin(pitch)
    depth = depth * np.cos(pitch) + flat[:, 1] * np.sin(pitch)
    distance = np.exp(rng.uniform(np.log(4), np.log(30)))
    near = distance / (distance + depth)
    return np.stack((x * near, y * near), 1)


def draw(rng: np.random.Generator, image: Image, plate: Image, quad: Quad, gain: float) -> None:
    """Draw ``plate`` into ``image`` at ``quad``: anti-aliased, lit, sometimes framed and shaded."""
    plate, quad_of_all = _framed(rng, plate, quad)
    box = enclosing(quad_of_all.reshape(1, 8))[0]
    left, top = (max(0, int(np.floor(v)) - 2) for v in box[:2])
    right = min(image.shape[1], int(np.ceil(box[2])) + 2)
    bottom = min(image.shape[0], int(np.ceil(box[3])) + 2)
    if right - left < 4 or bottom - top < 3:
        return
    across = max(
        float(np.linalg.norm(quad_of_all[1] - quad_of_all[0])),
        float(np.linalg.norm(quad_of_all[2] - quad_of_all[3])),
    )
    shrink = across / plate.shape[1] * 1.3
    if shrink < 0.8:  # warping down by more would alias
        size = [max(3, round(v * shrink)) for v in plate.shape[1::-1]]
        plate = np.asarray(cv2.resize(plate, size, interpolation=cv2.INTER_AREA), np.uint8)
    rows, columns = plate.shape[:2]
    source = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], np.float32) - 0.5
    target = (quad_of_all - [left, top] - 0.5).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(source, target)
    opaque = np.pad(plate, ((1, 1), (1, 1), (0, 0)), mode="edge")
    opaque = np.dstack((opaque, np.full(opaque.shape[:2], 255, np.uint8)))
    opaque[[0, -1], :, 3] = 0
    opaque[:, [0, -1], 3] = 0
    matrix = matrix @ np.array([[1, 0, -1], [0, 1, -1], [0, 0, 1.0]])
    size_of_part = (right - left, bottom - top)
    warped = cv2.warpPerspective(opaque, matrix, size_of_part, flags=cv2.INTER_LINEAR)
    if rng.random() < 0.6:
        warped = cv2.GaussianBlur(warped, (0, 0), rng.uniform(0.25, 0.9))
    warped = np.asarray(warped, np.float32)
    cover = warped[..., 3:] / 255
    # Colours outside of the plate are 0, so that they are weighted by the cover already.
    colours = warped[..., :3] * gain + rng.uniform(-8, 20) * cover
    under = image[top:bottom, left:right]
    image[top:bottom, left:right] = np.clip(under * (1 - cover) + colours, 0, 255)


def _framed(rng: np.random.Generator, plate: Image, quad: Quad) -> tuple[Image, Quad]:
    """Sometimes a holder around the plate, and light that falls off across it."""
    if rng.random() < 0.35:
        rows, columns = plate.shape[:2]
        top, bottom, left, right = (max(1, int(rows * rng.uniform(0.02, 0.14))) for _ in range(4))
        colour = rng.uniform(0, 70) if rng.random() < 0.7 else rng.uniform(70, 230)
        plate = np.asarray(
            cv2.copyMakeBorder(
                plate, top, bottom, left, right, cv2.BORDER_CONSTANT, value=[colour] * 3
            ),
            np.uint8,
        )
        inner = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], np.float32)
        matrix = cv2.getPerspectiveTransform(inner, quad.astype(np.float32))
        outer = np.array(
            [
                [-left, -top],
                [columns + right, -top],
                [columns + right, rows + bottom],
                [-left, rows + bottom],
            ],
            np.float32,
        )
        quad = cv2.perspectiveTransform(outer[None], matrix)[0]
    if rng.random() < 0.3:
        start, end = (float(v) for v in rng.uniform(0.4, 1.1, 2))
        if rng.random() < 0.5:
            shade = np.linspace(start, end, plate.shape[1])[None, :, None]
        else:
            shade = np.linspace(start, end, plate.shape[0])[:, None, None]
        plate = np.clip(plate * shade, 0, 255).astype(np.uint8)
    return plate, quad


def exact_error(predicted: Floats, exact: Floats) -> float:
    """Mean distance of four corners (8,) from the exact ones, in plate heights."""
    a, b = predicted.reshape(4, 2), exact.reshape(4, 2)
    height = (np.linalg.norm(b[3] - b[0]) + np.linalg.norm(b[2] - b[1])) / 2
    return float(np.linalg.norm(a - b, axis=1).mean() / max(height, 1e-6))
