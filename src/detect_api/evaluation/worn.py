"""Labelled pictures as worse cameras see them: frames of made-up tracks.

Labelled pictures are mostly clear ones; in videos most frames are not. What is fitted to clear
pictures alone believes blurred ones too much.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import cv2
import numpy as np

from detect_api.evaluation.labels import PictureLabel
from detect_api.vision.types import Box, Image

SMALLEST = 28.0
"""The least width in pixels to which a plate is shrunk."""

SIDE = 320
"""Size at which plates are looked for in these pictures, of which a plate takes about a third."""


def looks(label: PictureLabel, image: Image, count: int) -> Iterator[tuple[Image, Box]]:
    """The plate's neighbourhood ``count`` times, and where the plate lies in it.

    Shrunk, blurred, dimmed, noisy and compressed, much alike in all and a little different in each,
    and growing as if the car came nearer. The same for the same label.
    """
    rng = np.random.default_rng(int(label.box.x1 * 7919 + label.box.y1 * 104729) + 1)
    margin = label.box.width
    left, top = max(0, int(label.box.x1 - margin)), max(0, int(label.box.y1 - margin))
    part = image[top : int(label.box.y2 + margin), left : int(label.box.x2 + margin)]
    box = (label.box.x1 - left, label.box.y1 - top, label.box.x2 - left, label.box.y2 - top)
    size, blur = rng.uniform(0.25, 0.9), rng.uniform(0, 1.4)
    quality, noise = int(rng.integers(22, 60)), rng.uniform(0, 8)
    for number in range(count):
        scale = size * (0.7 + 0.3 * number / max(1, count - 1))
        scale = min(1.0, max(scale, SMALLEST / label.box.width))
        seen = _worn(part, scale, blur * rng.uniform(0.5, 1.2), noise, quality, rng)
        x1, y1, x2, y2 = (value * scale for value in box)
        yield seen, Box(x1, y1, x2, y2)


def _worn(
    image: Image, scale: float, blur: float, noise: float, quality: int, rng: np.random.Generator
) -> Image:
    height, width = image.shape[:2]
    size = max(32, int(width * scale)), max(32, int(height * scale))
    if scale < 0.8:
        image = cast(Image, cv2.GaussianBlur(image, (0, 0), 0.45 / scale))
    matrix = np.array([[scale, 0, rng.uniform(0, 1)], [0, scale, rng.uniform(0, 1)]])
    shrunk = cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    if blur > 0.25:
        shrunk = cv2.GaussianBlur(shrunk, (0, 0), blur)
    lit = shrunk * rng.uniform(0.85, 1.1) + rng.normal(0, noise, shrunk.shape)
    pixels = np.clip(lit, 0, 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cast(Image, cv2.imdecode(data, cv2.IMREAD_COLOR))
