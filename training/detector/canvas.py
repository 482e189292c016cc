"""Training canvases: parts of scenes, alone or four together, at all sizes of plates."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from training.detector.boxes import PADDING, Image
from training.detector.damage import Damage
from training.detector.distract import distract
from training.detector.paste import PlatePaster
from training.detector.scenes import Scene
from training.detector.targets import Plates, joined

NARROWEST = 10.0
"""Width in pixels of the smallest plates that are sought on purpose."""


class Canvases:
    """Makes canvases of scenes with pasted plates and distractions, then damages them."""

    def __init__(self, scenes: list[Scene], paster: PlatePaster, damage: Damage) -> None:
        self.scenes = scenes
        self.paster = paster
        self.damage = damage
        weights = np.cumsum([scene.weight for scene in scenes])
        self._cumulative = weights / weights[-1]

    def make(self, rng: np.random.Generator, side: int) -> tuple[Image, Plates]:
        """One canvas of side x side pixels, the same for the same state of ``rng``."""
        image, plates = self._mosaic(rng, side)
        if rng.random() < 0.25:
            image, plates = _turned(rng, image, plates)
        image = np.ascontiguousarray(image)
        if rng.random() < 0.55:
            plates = self.paster.paste(rng, image, plates)
        if rng.random() < 0.3:
            distract(rng, image, plates)
        return self.damage.apply(rng, image), plates

    def _mosaic(self, rng: np.random.Generator, side: int) -> tuple[Image, Plates]:
        if rng.random() < 0.45:
            return self._tile(rng, side, side)
        x, y = (int(side * v) for v in rng.uniform(0.3, 0.7, 2))
        image = np.empty((side, side, 3), np.uint8)
        parts = []
        for left, top, right, bottom in (
            (0, 0, x, y),
            (x, 0, side, y),
            (0, y, x, side),
            (x, y, side, side),
        ):
            tile, plates = self._tile(rng, right - left, bottom - top)
            image[top:bottom, left:right] = tile
            parts.append(plates.moved(np.array([[1, 0, left], [0, 1, top]]), right, bottom))
        return image, joined(parts)

    def _tile(self, rng: np.random.Generator, width: int, height: int) -> tuple[Image, Plates]:
        """A part of a scene, with one of its plates (or hard places) at a size drawn by chance."""
        scene = self.scenes[int(np.searchsorted(self._cumulative, rng.random()))]
        rows, columns = scene.image.shape[:2]
        places = scene.hard if len(scene.hard) and rng.random() < 0.5 else scene.boxes
        anchor = places[rng.integers(len(places))] if len(places) else None
        whole = min(width / columns, height / rows)
        if anchor is None or rng.random() < 0.2:
            factor = whole * rng.uniform(0.8, 1.35)
        else:
            across, along = anchor[2:] - anchor[:2]
            wanted = np.exp(rng.uniform(np.log(NARROWEST), np.log(0.92 * width)))
            factor = float(np.clip(wanted / max(4.0, across), 0.15, 2.2))
            factor = min(max(factor, 0.8 * whole), 1.15 * height / max(1.0, along))
        fx, fy = factor * np.exp(rng.normal(0, 0.07, 2))
        part = np.array([width / fx, height / fy])
        room = np.array([columns, rows]) - part
        if anchor is not None and rng.random() < 0.85:
            corner = (anchor[:2] + anchor[2:]) / 2 - part * rng.uniform(0.08, 0.92, 2)
            inside = rng.random(2) < 0.8
            corner = np.where(
                inside, np.clip(corner, np.minimum(room, 0), np.maximum(room, 0)), corner
            )
        else:
            corner = rng.uniform(np.minimum(room, 0), np.maximum(room, 0) + 1e-6)
        left, top = (int(v) for v in np.round(corner))
        image = _cut(rng, scene.image, left, top, width, height, fx, fy)
        matrix = np.array([[fx, 0, -left * fx], [0, fy, -top * fy]])
        plates = _known(scene).moved(matrix, width, height)
        if rng.random() < 0.4:
            image = np.ascontiguousarray(image[:, ::-1])
            plates = plates.moved(np.array([[-1.0, 0, width], [0, 1, 0]]), width, height)
            plates = replace(plates, corners=plates.corners[:, [2, 3, 0, 1, 6, 7, 4, 5]])
        return image, plates


def _known(scene: Scene) -> Plates:
    count = len(scene.boxes)
    everywhere = np.array([[0, 0, *scene.image.shape[1::-1]]], np.float32)
    return Plates(
        corners=np.where(
            scene.cornered[:, None], scene.corners, scene.boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]]
        ).astype(np.float32),
        boxes=scene.boxes,
        visible=np.ones(count, np.float32),
        # Corners of scenes are predictions: they keep the network honest on real pictures, exact
        # ones of pasted plates weigh more.
        trust=np.where(scene.cornered, 0.5, 0).astype(np.float32),
        ignored=scene.ignored,
        open_=everywhere[: 0 if scene.complete else 1],
    )


def _cut(
    rng: np.random.Generator,
    image: Image,
    left: int,
    top: int,
    width: int,
    height: int,
    fx: float,
    fy: float,
) -> Image:
    """A part of ``image`` from (left, top) on, enlarged by fx and fy to width x height."""
    tile = np.full(
        (height, width, 3), int(rng.choice([PADDING, PADDING, 0, int(rng.integers(256))])), "u1"
    )
    x1, y1 = max(0, left), max(0, top)
    x2 = min(image.shape[1], left + int(np.ceil(width / fx)))
    y2 = min(image.shape[0], top + int(np.ceil(height / fy)))
    at_x, at_y = round((x1 - left) * fx), round((y1 - top) * fy)
    size = (min(width - at_x, round((x2 - x1) * fx)), min(height - at_y, round((y2 - y1) * fy)))
    if min(size) > 1 and x2 - x1 > 3 and y2 - y1 > 3:
        interpolation = cv2.INTER_AREA if fx < 0.9 else cv2.INTER_LINEAR
        tile[at_y : at_y + size[1], at_x : at_x + size[0]] = cv2.resize(
            image[y1:y2, x1:x2], size, interpolation=interpolation
        )
    return tile


def _turned(rng: np.random.Generator, image: Image, plates: Plates) -> tuple[Image, Plates]:
    """A slight turn and shear about the middle."""
    height, width = image.shape[:2]
    angle = np.radians(rng.normal(0, 5) if rng.random() < 0.8 else rng.uniform(-20, 20))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = turn @ np.array([[1, rng.normal(0, 0.04)], [rng.normal(0, 0.02), 1]])
    middle = np.array([width, height]) / 2
    matrix = np.column_stack((turn, middle - turn @ middle))
    # warpAffine counts from the centre of the first pixel, our coordinates from its edge.
    pixels = matrix.copy()
    pixels[:, 2] += turn @ [0.5, 0.5] - 0.5
    turned = cv2.warpAffine(
        image, pixels, (width, height), flags=cv2.INTER_LINEAR, borderValue=[PADDING] * 3
    )
    return np.asarray(turned, np.uint8), plates.moved(matrix, width, height)
