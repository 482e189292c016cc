"""A contact sheet: what went wrong, side by side, for a person to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from detect_api.evaluation.score import Answer
from detect_api.vision.types import Box, Image

TILE_WIDTH, PICTURE_HEIGHT, CAPTION_HEIGHT = 320, 120, 44
COLUMNS = 5
_FONT, _SMALL = cv2.FONT_HERSHEY_SIMPLEX, 0.45


def write(answers: Sequence[Answer], path: Path) -> int:
    """Writes wrong and missing readings and false plates to a picture file.

    Returns how many tiles it has; with none, no file is written. Raises OSError.
    """
    tiles = []
    for answer in answers:
        wrong = not answer.folded
        if not wrong and not answer.false:
            continue
        image = cast(Image, cv2.imread(str(answer.label.image)))
        if wrong:
            wanted = "/".join(answer.label.accepted)
            said = f"{answer.text or 'unread'} {answer.confidence:.2f}"
            tiles.append(_tile(image, answer.label.box, answer, f"{wanted} -> {said}"))
        for plate in answer.false:
            said = f"false: {plate.text} {plate.confidence:.2f}"
            tiles.append(_tile(image, plate.best.box, answer, said))
    if not tiles:
        return 0
    failures = len(tiles)
    while len(tiles) % COLUMNS:
        tiles.append(np.full_like(tiles[0], 255))
    rows = [np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)]
    done, encoded = cv2.imencode(path.suffix or ".png", np.vstack(rows))
    if not done:
        raise OSError(0, "the picture cannot be encoded")
    path.write_bytes(encoded.tobytes())
    return failures


def _tile(image: Image, box: Box, answer: Answer, words: str) -> Image:
    """A plate with as much again around it, and what was wanted and read."""
    height, width = image.shape[:2]
    left, right = max(0, int(box.x1 - box.width / 4)), min(width, int(box.x2 + box.width / 4) + 1)
    top, bottom = (
        max(0, int(box.y1 - box.height / 2)),
        min(height, int(box.y2 + box.height / 2) + 1),
    )
    part = image[top:bottom, left:right]
    scale = min((TILE_WIDTH - 4) / part.shape[1], PICTURE_HEIGHT / part.shape[0])
    size = max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale))
    part = cast(Image, cv2.resize(part, size, interpolation=cv2.INTER_CUBIC))
    tile = np.full((PICTURE_HEIGHT + CAPTION_HEIGHT, TILE_WIDTH, 3), 255, np.uint8)
    tile[: part.shape[0], : part.shape[1]] = part
    name = f"{answer.label.set} {answer.label.image.stem}"[:44]
    for row, text in enumerate((words, name)):
        place = (4, PICTURE_HEIGHT + 16 + 18 * row)
        cv2.putText(tile, text, place, _FONT, _SMALL, (0, 0, 0), 1, cv2.LINE_AA)
    return tile
