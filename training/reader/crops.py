"""Real crops as training samples: cut as a detector would cut them, and seen by worse cameras."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.paths import DATA, WORK
from training.reader.model import HEIGHT, WIDTH
from training.reader.texts import LabelledCrop, labelled_crops

Picture = NDArray[np.uint8]
"""uint8, (height, width, 3), BGR."""

KEPT_APART = 20
"""One group of pictures in so many is kept apart, to validate on."""

BY_BOX = 0.3
"""How often a crop is cut by its box though its corners are known; corners may be wrong."""


def kept_apart(group: str) -> bool:
    """Whether a group of pictures is for validation."""
    return int(hashlib.sha256(group.encode()).hexdigest(), 16) % KEPT_APART == 0


@dataclass(frozen=True, slots=True)
class RealCrop:
    """A picture around one plate, and its text.

    ``quads`` are the places where a detector may see it, float32 (4, 2), clockwise from the top
    left: the labelled box, and before it the corners where they are known.
    """

    image: Picture
    quads: tuple[NDArray[np.float32], ...]
    text: str


def load(*, validation: bool) -> list[RealCrop]:
    """The labelled crops, those of the groups kept apart or all others."""
    chosen = [c for c in labelled_crops() if kept_apart(c.group) == validation]
    corners = _corners()
    return [_load(crop, corners.get(crop.image)) for crop in chosen]


def _load(crop: LabelledCrop, corners: NDArray[np.float32] | None) -> RealCrop:
    """``corners`` are relative to the plate's box: (0, 0) its top left, (1, 1) its bottom right."""
    image = cv2.imread(str(DATA / "plates_crops" / crop.image))
    if image is None:
        raise FileNotFoundError(crop.image)
    x1, y1, x2, y2 = crop.box
    box = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], dtype=np.float32)
    quads: tuple[NDArray[np.float32], ...] = (box,)
    if corners is not None:
        size = np.array([x2 - x1, y2 - y1], np.float32)
        quads = (box[0] + corners * size, box)
    return RealCrop(image.astype(np.uint8), quads, crop.text)


def _corners() -> dict[str, NDArray[np.float32]]:
    """Corners of plates relative to their boxes, by the name of the crop.

    From the detector's relabelling, if that has been run; crop ``NAME_k`` shows box k of the
    scene ``NAME``.
    """
    relabelled = WORK / "detector" / "relabelled.jsonl"
    if not relabelled.exists():
        return {}
    found = {}
    scenes = (DATA / "plates_train" / "labels.jsonl").read_text().splitlines()
    boxes = {row["image"]: row["boxes"] for row in map(json.loads, scenes)}
    for row in map(json.loads, relabelled.read_text().splitlines()):
        name = re.sub(r"\.webp$", "", row["image"])
        for k, (x1, y1, x2, y2) in enumerate(boxes[row["image"]]):
            if k < len(row.get("corners", ())) and row["corners"][k] is not None:
                points = np.array(row["corners"][k], np.float32).reshape(4, 2)
                relative = (points - [x1, y1]) / [max(x2 - x1, 1), max(y2 - y1, 1)]
                found[f"{name}_{k}.webp"] = relative.astype(np.float32)
    return found


def cut(image: Picture, quad: NDArray[np.float32], margin: float = 0.0) -> Picture:
    """The plate with its corners at the corners of the picture, less a margin of its size."""
    centre = quad.mean(axis=0)
    quad = (centre + (quad - centre) * (1 + 2 * margin)).astype(np.float32)
    width = max(12, round(float(np.linalg.norm(quad[1] - quad[0]))))
    height = max(6, round(float(np.linalg.norm(quad[3] - quad[0]))))
    return _warp(image, quad, width, height)


def stretch(crop: Picture) -> Picture:
    """A crop as the network takes it: uint8 (64, 160, 3) BGR."""
    shrinks = crop.shape[1] > WIDTH * 1.5
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(crop, (WIDTH, HEIGHT), interpolation=way).astype(np.uint8)


class CropAugmenter:
    """Draws training samples of real crops."""

    def __init__(self, crops: list[RealCrop], rng: np.random.Generator) -> None:
        self._crops = crops
        self._rng = rng

    def sample(self) -> tuple[Picture, str]:
        """A crop, cut and damaged at random, stretched; and its text."""
        rng = self._rng
        crop = self._crops[int(rng.integers(len(self._crops)))]
        image = self._cut(crop)
        if rng.random() < 0.85:
            image = self._damaged(image)
        return stretch(image), crop.text

    def _cut(self, crop: RealCrop) -> Picture:
        rng = self._rng
        quad = crop.quads[int(rng.random() < BY_BOX) if len(crop.quads) > 1 else 0].copy()
        size = np.array(
            [np.linalg.norm(quad[1] - quad[0]), np.linalg.norm(quad[3] - quad[0])], np.float32
        )
        kind = rng.random()
        spread = (-0.03, 0.04) if kind < 0.45 else (-0.04, 0.14) if kind < 0.85 else (-0.04, 0.26)
        left, top, right, bottom = rng.uniform(*spread, 4) * [0.6, 1, 0.6, 1]
        out = np.array([[-left, -top], [right, -top], [right, bottom], [-left, bottom]])
        quad += (out * size).astype(np.float32)
        if rng.random() < 0.5:
            angle = math.radians(rng.normal(0, 2))
            turn = np.array(
                [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
            )
            centre = quad.mean(axis=0)
            quad = (quad - centre) @ turn.T.astype(np.float32) + centre
            quad += (rng.normal(0, 0.02, (4, 2)) * size * [0.6, 1]).astype(np.float32)
        shrink = 1.0
        if rng.random() < 0.5:
            shrink = math.exp(rng.uniform(math.log(min(1.0, 11 / float(size[1]))), 0))
        image = crop.image
        if shrink < 0.8:
            image = cv2.GaussianBlur(image, (0, 0), 0.4 / shrink).astype(np.uint8)
        width = max(12, round(float(np.linalg.norm(quad[1] - quad[0])) * shrink))
        height = max(6, round(float(np.linalg.norm(quad[3] - quad[0])) * shrink))
        return _warp(image, quad.astype(np.float32), width, height)

    def _damaged(self, image: Picture) -> Picture:
        rng, height = self._rng, image.shape[0]
        values = image.astype(np.float32)
        if rng.random() < 0.12:
            values[:] = values.mean(axis=2, keepdims=True)
        if rng.random() < 0.3:
            values = cv2.GaussianBlur(values, (0, 0), rng.uniform(0.25, 0.035 * height + 0.4))
        if rng.random() < 0.1:
            length = int(rng.uniform(2, max(3, height * 0.18)))
            values = cv2.blur(values, (length, 1) if rng.random() < 0.7 else (1, length))
        if rng.random() < 0.5:
            mean = values.mean()
            target = rng.uniform(50, 190) if rng.random() < 0.5 else mean
            values = (values - mean) * rng.uniform(0.5, 1.3) + target
        if rng.random() < 0.3:
            values = values * np.array([rng.uniform(0.8, 1.2), 1, rng.uniform(0.8, 1.2)])
        if rng.random() < 0.04:
            values = 255 - values
        if rng.random() < 0.3:
            channels = 1 if rng.random() < 0.5 else 3
            values = values + rng.normal(0, rng.uniform(1, 8), (*values.shape[:2], channels))
        damaged = np.clip(values, 0, 255).astype(np.uint8)
        if rng.random() < 0.4:
            quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.uniform(15, 80))]
            damaged = cv2.imdecode(cv2.imencode(".jpg", damaged, quality)[1], 1).astype(np.uint8)
        return damaged


def _warp(image: Picture, quad: NDArray[np.float32], width: int, height: int) -> Picture:
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    matrix = cv2.getPerspectiveTransform(quad - 0.5, target - 0.5)
    return cv2.warpPerspective(
        image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    ).astype(np.uint8)
