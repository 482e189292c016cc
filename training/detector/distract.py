"""Things that are no plates and look a little like some: burnt-in text, signs, grilles, lamps."""

from __future__ import annotations

import string
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from training.detector.boxes import Image
from training.detector.paste import draw, seen
from training.detector.targets import Plates

Colour = tuple[int, int, int]
_LIGHT: list[Colour] = [(255, 255, 255)] * 4 + [(0, 255, 255), (0, 255, 0), (255, 80, 0)]
_SIGNS: list[Colour] = [(160, 60, 0), (40, 110, 0), (30, 30, 190), (0, 190, 240), (245, 245, 245)]
_WORDS = (
    *("camera", "lane", "exit", "entry", "speed", "north", "gate", "street", "parking", "taxi"),
    *("police", "service", "repair", "garage", "market", "bank", "hotel", "school", "please"),
    *("keep", "clear", "no", "one", "way", "open", "sale", "welcome", "diesel", "turbo", "hybrid"),
    *("quattro", "sport", "limited", "motors", "transport", "logistics", "express"),
)


def distract(rng: np.random.Generator, image: Image, plates: Plates) -> None:
    """Draw one to three distractions into ``image``, in place, none over a plate."""
    kinds: list[Callable[[np.random.Generator, Image, Plates], None]] = [
        caption,
        caption,
        sign,
        watermark,
        bars,
        lamp,
        fence,
    ]
    for _ in range(int(rng.integers(1, 4))):
        kinds[int(rng.integers(len(kinds)))](rng, image, plates)


def caption(rng: np.random.Generator, image: Image, plates: Plates) -> None:
    """Text that a recorder burns in: clock, camera, place, speed."""
    text = _caption_text(rng)
    font = int(rng.choice([0, 0, 0, 2, 3, 4, 6]))
    scale = float(np.exp(rng.uniform(np.log(0.28), np.log(1.3))))
    thick = int(rng.integers(1, 3)) if scale > 0.5 else 1
    (width, height), below = cv2.getTextSize(text, font, scale, thick)
    rows, columns = image.shape[:2]
    x = int(rng.uniform(-0.1 * width, max(1, columns - width)))
    y = int(rng.choice([height + rng.integers(1, 25), rows - below - rng.integers(1, 25)]))
    if rng.random() < 0.35:
        y = int(rng.uniform(height, rows - 2))
    if plates.touches(np.array([x, y - height, x + width, y + below])):
        return
    colour = _LIGHT[int(rng.integers(len(_LIGHT)))]
    if rng.random() < 0.2:
        colour = (0, 0, 0)
    dark = max(colour) > 0
    if rng.random() < 0.35:
        paper = [(0, 0, 0), (60, 60, 60), (200, 0, 0), (0, 128, 0), (0, 0, 200)]
        fill = paper[int(rng.integers(5))] if dark else (255, 255, 255)
        corner = (x - 3, y - height - 3)
        cv2.rectangle(image, corner, (x + width + 3, y + below + 2), fill, -1)
    elif rng.random() < 0.5:
        edge = (0, 0, 0) if dark else (255, 255, 255)
        cv2.putText(image, text, (x, y), font, scale, edge, thick + 2, cv2.LINE_AA)
    cv2.putText(image, text, (x, y), font, scale, colour, thick, cv2.LINE_AA)


def sign(rng: np.random.Generator, image: Image, plates: Plates) -> None:
    """A board with words in several lines, or an oval badge with one."""
    lines = int(rng.integers(2, 5))
    words = [_words(rng, int(rng.integers(1, 4))) for _ in range(lines)]
    badge = rng.random() < 0.35
    if badge:
        words = words[:1]
    font = int(rng.choice([0, 2, 3, 4]))
    width = max(cv2.getTextSize(text, font, 1.0, 2)[0][0] for text in words) + 40
    board = np.zeros((30 + 36 * len(words), width, 3), np.uint8)
    paper = _SIGNS[int(rng.integers(len(_SIGNS)))]
    ink = (20, 20, 20) if sum(paper) > 420 else (245, 245, 245)
    board[:] = paper
    if badge:
        shade = tuple(int(v) for v in rng.integers(0, 120, 3))
        board[:] = shade
        cv2.ellipse(
            board, (width // 2, board.shape[0] // 2), (width // 2, 30), 0, 0, 360, paper, -1
        )
    elif rng.random() < 0.5:
        cv2.rectangle(board, (4, 4), (width - 5, board.shape[0] - 5), ink, 2)
    for index, text in enumerate(words):
        offset = 20 if rng.random() < 0.5 else int(rng.integers(5, 20))
        cv2.putText(board, text, (offset, 42 + 36 * index), font, 1.0, ink, 2, cv2.LINE_AA)
    _stand(rng, image, board, plates)


def bars(rng: np.random.Generator, image: Image, plates: Plates) -> None:
    """Parallel bars: a grille, vents, a barrier arm with stripes."""
    height, width = int(rng.integers(20, 70)), int(rng.integers(60, 220))
    board = np.zeros((height, width, 3), np.uint8)
    low, high = rng.uniform(0, 80), rng.uniform(110, 255)
    step = int(rng.integers(4, 18))
    slope = float(rng.choice([0.0, 0.0, 1.0, -1.0, 1e3]))
    y, x = np.mgrid[:height, :width]
    along = y if slope == 1e3 else x + slope * y
    board[:] = np.where((along // step) % 2, low, high)[..., None]
    if rng.random() < 0.25:
        board[..., :2] = (board[..., :2] * 0.3).astype(np.uint8)
    _stand(rng, image, board, plates)


def lamp(rng: np.random.Generator, image: Image, plates: Plates) -> None:
    """A bright lamp with a halo."""
    rows, columns = image.shape[:2]
    x, y = (int(rng.integers(v)) for v in (columns, rows))
    radius = int(np.exp(rng.uniform(np.log(4), np.log(40))))
    flat = float(rng.uniform(0.3, 1))
    if plates.touches(np.array([x - 2 * radius, y - 2 * radius, x + 2 * radius, y + 2 * radius])):
        return
    glow = np.zeros((rows, columns), np.float32)
    cv2.ellipse(glow, (x, y), (radius, max(2, int(radius * flat))), 0, 0, 360, 1.0, -1)
    halo = cv2.GaussianBlur(glow, (0, 0), max(1.0, radius * 0.3))
    colour = np.array([(255, 255, 255), (150, 220, 255), (60, 60, 255)][int(rng.integers(3))])
    image[:] = np.clip(image + halo[..., None] * colour, 0, 255).astype(np.uint8)


def fence(rng: np.random.Generator, image: Image, plates: Plates) -> None:
    """Wires or slats across a part of the picture."""
    rows, columns = image.shape[:2]
    width, height = int(rng.integers(40, columns)), int(rng.integers(30, rows))
    x, y = int(rng.integers(columns - width + 1)), int(rng.integers(rows - height + 1))
    if plates.touches(np.array([x, y, x + width, y + height])):
        return
    step, thick = int(rng.integers(6, 30)), int(rng.integers(1, 4))
    grey = [float(rng.uniform(20, 230))] * 3
    for at in range(x, x + width, step):
        cv2.line(image, (at, y), (at, y + height), grey, thick, cv2.LINE_AA)
    for at in range(y, y + height, step * int(rng.choice([1, 1, 4]))):
        cv2.line(image, (x, at), (x + width, at), grey, thick, cv2.LINE_AA)


def watermark(rng: np.random.Generator, image: Image, plates: Plates) -> None:
    """Half transparent letters of a broadcaster or a picture agency."""
    text = _words(rng, int(rng.integers(1, 3))) if rng.random() < 0.5 else _letters(rng, 2, 6)
    scale = float(np.exp(rng.uniform(np.log(0.5), np.log(2.5))))
    (width, height), below = cv2.getTextSize(text, 2, scale, 2)
    rows, columns = image.shape[:2]
    x = int(rng.uniform(0, max(1, columns - width)))
    y = int(rng.uniform(height, max(height + 1, rows - below)))
    if plates.touches(np.array([x, y - height, x + width, y + below])):
        return
    layer = image.copy()
    colour = _LIGHT[int(rng.integers(len(_LIGHT)))]
    cv2.putText(layer, text, (x, y), 2, scale, colour, int(rng.integers(1, 6)), cv2.LINE_AA)
    opacity = float(rng.uniform(0.25, 0.9))
    cv2.addWeighted(layer, opacity, image, 1 - opacity, 0, image)


def _stand(rng: np.random.Generator, image: Image, board: Image, plates: Plates) -> None:
    """Put a board somewhere, seen from an angle, unless a plate is there."""
    rows, columns = image.shape[:2]
    across = float(np.exp(rng.uniform(np.log(18), np.log(0.6 * columns))))
    quad = seen(rng, board.shape[1] / board.shape[0]) * across
    quad = quad + rng.uniform([0, 0], [columns, rows])
    low, high = quad.min(0), quad.max(0)
    if not plates.touches(np.concatenate((low - 4, high + 4))):
        draw(rng, image, board, quad, float(rng.uniform(0.3, 1.1)))


def _caption_text(rng: np.random.Generator) -> str:
    kind = rng.random()
    year, month, day = rng.integers([1999, 1, 1], [2031, 13, 32])
    hour, minute, second = rng.integers([24, 60, 60])
    if kind < 0.35:
        return f"{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"
    if kind < 0.5:
        return f"{day:02}/{month:02}/{year} {_words(rng, 1)}"
    if kind < 0.7:
        return f"{_words(rng, int(rng.integers(1, 3))).upper()} {rng.integers(100)}"
    return _letters(rng, 3, 13)


def _letters(rng: np.random.Generator, low: int, high: int) -> str:
    signs: NDArray[np.str_] = np.array(list(string.ascii_uppercase + string.digits + " -:"))
    return "".join(rng.choice(signs, int(rng.integers(low, high))))


def _words(rng: np.random.Generator, count: int) -> str:
    chosen = [_WORDS[int(i)] for i in rng.integers(len(_WORDS), size=count)]
    return " ".join(word.title() if rng.random() < 0.3 else word for word in chosen)
