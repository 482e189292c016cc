"""Made-up observations and drawn plates for the tests of recognition."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from detect_api.vision.types import (
    Box,
    CharacterScores,
    Image,
    Observation,
    Reading,
    SegmentResult,
)

FPS = 10.0


def reading(text: str, confidence: float = 0.99, instead: dict[int, str] | None = None) -> Reading:
    """A reading of that confidence, with that probability at each place.

    The rest goes to others, named by place.
    """
    characters = []
    for place, character in enumerate(text):
        scores = [(character, confidence)]
        if instead and place in instead:
            scores.append((instead[place], round((1 - confidence) * 0.9, 6)))
        characters.append(CharacterScores(tuple(scores)))
    return Reading(text, confidence, tuple(characters))


def sighting(
    frame: int,
    x: float,
    y: float,
    text: str | None = None,
    *,
    width: float = 90,
    height: float = 24,
    confidence: float = 0.99,
    detection: float = 0.9,
    sharpness: float = 0.3,
    fps: float = FPS,
) -> Observation:
    """A plate around (x, y) in one frame, read as ``text``."""
    box = Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return Observation(
        frame=frame,
        seconds=frame / fps,
        box=box,
        corners=((box.x1, box.y1), (box.x2, box.y1), (box.x2, box.y2), (box.x1, box.y2)),
        detection_confidence=detection,
        sharpness=sharpness,
        reading=reading(text, confidence) if text else None,
        reason=None if text else "no_text",
    )


def passing(
    text: str | None,
    frames: Iterable[int],
    *,
    start: tuple[float, float] = (300, 100),
    step: tuple[float, float] = (4, 12),
    **options: Any,
) -> list[Observation]:
    """A car that moves by ``step`` pixels from each frame number to the next."""
    numbers = list(frames)
    return [
        sighting(
            n,
            start[0] + (n - numbers[0]) * step[0],
            start[1] + (n - numbers[0]) * step[1],
            text,
            **options,
        )
        for n in numbers
    ]


def segment(observations: Iterable[Observation], height: int = 720) -> SegmentResult:
    """Observations of one segment, put in order of their frames."""
    ordered = tuple(sorted(observations, key=lambda o: o.frame))
    return SegmentResult(
        processed_frames=len({o.frame for o in ordered}),
        frames_with_detections=len({o.frame for o in ordered}),
        observations=ordered,
        width=1280,
        height=height,
    )


def drawn(*rows: str, size: int = 48, margin: int = 12) -> Image:
    """A white plate with black text."""
    font = ImageFont.load_default(size=size)
    boxes = [font.getbbox(row) for row in rows]
    width = int(max(box[2] for box in boxes)) + 2 * margin
    plate = Pillow.new("RGB", (width, int(size * 1.15) * len(rows) + margin), (240, 240, 236))
    draw = ImageDraw.Draw(plate)
    for number, row in enumerate(rows):
        middle = margin / 2 + (number + 0.5) * int(size * 1.15)
        draw.text((width / 2, middle), row, font=font, fill=(20, 20, 24), anchor="mm")
    return cv2.cvtColor(np.asarray(plate), cv2.COLOR_RGB2BGR).astype(np.uint8)


def scene(*plates: tuple[Image, int, int], width: int = 960, height: int = 540) -> Image:
    """A grey picture with plates at (left, top), a little noise over it."""
    picture = np.full((height, width, 3), 92, np.uint8)
    for plate, left, top in plates:
        picture[top - 6 : top + plate.shape[0] + 6, left - 6 : left + plate.shape[1] + 6] = 40
        picture[top : top + plate.shape[0], left : left + plate.shape[1]] = plate
    noise = np.random.default_rng(5).integers(-4, 5, picture.shape, dtype=np.int16)
    return cast(Image, np.clip(picture + noise, 0, 255).astype(np.uint8))
