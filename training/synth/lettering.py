"""Setting a serial into its place on a plate: one row, one font, embossed or printed."""

from dataclasses import dataclass

import cv2
import numpy as np

from training.synth.canvas import Colour, Image, blit, jitter
from training.synth.dice import Dice
from training.synth.glyphs import CAP, PAD, Font, Mask

_KERNEL = np.ones((2, 2), np.uint8)


@dataclass(frozen=True)
class Place:
    """The box for a row's capitals, pixels."""

    x0: float
    x1: float
    y0: float
    y1: float


@dataclass(frozen=True)
class Setting:
    """How a row is set; ranges are drawn from uniformly."""

    fill: tuple[float, float] = (0.8, 1.0)
    """Share of the box's width that the row takes."""
    stretch: tuple[float, float] = (0.5, 1.5)
    """How far glyphs may be squeezed or widened to get there."""
    align: float = 0.5
    """0 left, 0.5 centred, 1 right."""
    emboss: float = 0.5
    """Chance of lit and shaded edges."""
    gap: tuple[float, float] = (0.04, 0.2)
    """Between characters, in capital heights."""


@dataclass(frozen=True)
class Row:
    """Where a row came to lie."""

    x0: float
    x1: float
    breaks: tuple[tuple[str, float], ...]
    """The blanks and ``~`` of the shown text with the x of their centres."""


def compose(
    shown: str, font: Font, gap: float, wide: float
) -> tuple[Mask, list[tuple[str, float]]]:
    """The row as one mask at the glyphs' own size (capitals CAP rows), and its breaks.

    ``gap`` between characters and the width ``wide`` of a ``~`` are in capital heights.
    """
    rows = CAP + 2 * PAD
    placed: list[tuple[Mask, int]] = []
    breaks: list[tuple[str, float]] = []
    x = 0.0
    for character in shown:
        if character in " ~":
            width = CAP * (0.24 if character == " " else wide)
            breaks.append((character, x + (width - gap * CAP) / 2))
            x += width
            continue
        glyph = _point(character) if character in "-." else font.masks[character]
        placed.append((glyph, round(x)))
        x += glyph.shape[1] + gap * CAP
    last, start = placed[-1]
    mask = np.zeros((rows, start + last.shape[1]), np.uint8)
    for glyph, left in placed:
        mask[:, left : left + glyph.shape[1]] = glyph
    return mask, breaks


def _point(character: str) -> Mask:
    width = round(CAP * (0.26 if character == "-" else 0.14))
    glyph = np.zeros((CAP + 2 * PAD, width), np.uint8)
    middle, half = PAD + CAP // 2, round(CAP * (0.045 if character == "-" else 0.07))
    glyph[middle - half : middle + half + 1] = 255
    return glyph


def set_row(
    dice: Dice,
    image: Image,
    shown: str,
    font: Font,
    place: Place,
    ink: Colour,
    setting: Setting = Setting(),
) -> Row:
    """Paints the row into the box and says where its breaks came to lie."""
    height = max(6, round(place.y1 - place.y0))
    room = place.x1 - place.x0
    row, breaks = compose(shown, font, dice.uniform(*setting.gap), dice.uniform(0.45, 0.7))
    scale = height / CAP
    natural = row.shape[1] * scale
    factor = room * dice.uniform(*setting.fill) / natural
    factor = min(max(factor, setting.stretch[0]), setting.stretch[1], room / natural)
    size = (max(3, round(natural * factor)), round(row.shape[0] * scale))
    small = cv2.resize(row, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    # A free edge all around, so that spreading ink is not cut off.
    mask = np.zeros((size[1] + 2, size[0] + 2), np.uint8)
    mask[1:-1, 1:-1] = small
    x = place.x0 + (room - mask.shape[1]) * setting.align
    y = place.y0 - height * PAD / CAP - 1
    _ink(dice, image, _weigh(dice, mask), x, y, ink, setting.emboss)
    return Row(x, x + mask.shape[1], tuple((kind, x + at * factor * scale) for kind, at in breaks))


def _weigh(dice: Dice, mask: Mask) -> Mask:
    """Ink spreads or is worn thin, on some plates."""
    roll = dice.random()
    if roll < 0.12:
        return np.asarray(cv2.dilate(mask, _KERNEL), np.uint8)
    if roll < 0.17:
        return np.asarray(cv2.erode(mask, _KERNEL), np.uint8)
    if roll < 0.19:
        return _dotted(dice, mask)
    return mask


def _dotted(dice: Dice, mask: Mask) -> Mask:
    """Strokes of separate dots, as of hand-made plates."""
    pitch = dice.between(3, 5)
    rows = (np.arange(mask.shape[0]) % pitch < pitch - 1).astype(np.uint8)
    columns = (np.arange(mask.shape[1]) % pitch < pitch - 1).astype(np.uint8)
    return np.asarray(mask * rows[:, None] * columns[None], np.uint8)


def _ink(
    dice: Dice, image: Image, mask: Mask, x: float, y: float, ink: Colour, emboss: float
) -> None:
    if dice.chance(emboss):
        dx, dy = dice.pick(((1, 1), (-1, 1), (1, -1), (-1, -1), (0, 1), (1, 0)))
        strength = dice.uniform(0.1, 0.5)
        blit(image, mask, x + dx, y + dy, dice.pick(((255, 255, 255), (60, 60, 60))), strength)
        blit(image, mask, x - dx, y - dy, (40, 40, 40), strength * 0.7)
    opacity = dice.uniform(0.8, 1.0) if dice.chance(0.87) else dice.uniform(0.45, 0.8)
    blit(image, mask, x, y, ink, opacity)
    if dice.chance(0.03):
        _wear(dice, image, mask, x, y)


def _wear(dice: Dice, image: Image, mask: Mask, x: float, y: float) -> None:
    """Flaked paint: blotches of bare metal on the characters."""
    height, width = mask.shape
    coarse = dice.rng.normal(0, 1, (max(2, height // 8), max(2, width // 8))).astype(np.float32)
    grown = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    flaked = np.where(grown > dice.uniform(0.8, 1.6), mask, 0).astype(np.uint8)
    blit(image, flaked, x, y, jitter(dice, (190, 190, 190), 40), dice.uniform(0.5, 0.9))
