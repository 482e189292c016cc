"""What stands beside and between a plate's characters and is not text.

Seals, coats of arms, stickers, dots, faint silhouettes, bolts: what general recognisers read as 8,
B, W, Q, 1 and I.
"""

import math
from collections.abc import Callable

import cv2
import numpy as np

from training.synth.canvas import (
    BLACK,
    EU_BLUE,
    GREEN,
    RED,
    WHITE,
    YELLOW,
    Colour,
    Image,
    any_colour,
    box,
    brightness,
    disc,
    jitter,
    line,
    mix,
    outline,
    polygon,
    polyline,
    word,
)
from training.synth.dice import Dice
from training.synth.glyphs import GlyphBank

Mark = Callable[[Image, float, float, float], None]
"""Draws at (image, x centre, y centre, height of the characters)."""

_PAINT: tuple[Colour, ...] = (
    RED,
    GREEN,
    (200, 90, 40),
    (40, 130, 220),
    (90, 90, 90),
    (40, 200, 225),
    BLACK,
    WHITE,
    EU_BLUE,
    (125, 125, 125),
)


class Marks:
    """Draws marks with one bank of small words and one source of chance."""

    def __init__(self, bank: GlyphBank, dice: Dice) -> None:
        self.bank = bank
        self.dice = dice

    def draw(self, kind: str, image: Image, x: float, y: float, h: float, ink: Colour) -> None:
        """Draws the mark of this kind; ``none`` draws nothing."""
        if kind == "none":
            return
        if kind == "dash":
            self.dash(image, x, y, h, ink)
        elif kind == "dot":
            disc(image, x, y + h * self.dice.uniform(-0.1, 0.1), h * 0.07, h * 0.07, ink)
        elif kind == "colon":
            for side in (-1, 1):
                disc(image, x, y + side * h * 0.2, h * 0.06, h * 0.06, ink)
        else:
            painters: dict[str, Mark] = {
                "seals": self.seals,
                "dots": self.dots,
                "shield": self.shield,
                "arms": self.arms,
                "sticker": self.sticker,
                "emblem": self.emblem,
                "faint": self.faint,
                "icon": self.icon,
                "star": self.star,
                "tall_sticker": self.tall_sticker,
            }
            painters[kind](image, x, y, h)

    def paint(self) -> Colour:
        """A colour of stickers and seals."""
        return jitter(self.dice, self.dice.pick(_PAINT), 30)

    def dash(self, image: Image, x: float, y: float, h: float, ink: Colour) -> None:
        """A dash, at times with a small seal above it."""
        dice = self.dice
        half, pen = h * dice.uniform(0.05, 0.16), h * dice.uniform(0.05, 0.12)
        level = y + h * dice.uniform(-0.06, 0.06)
        box(image, x - half, level - pen / 2, x + half, level + pen / 2, ink)
        if dice.chance(0.1):
            disc(image, x, y - h * 0.3, h * 0.1, h * 0.1, self.paint())

    def seals(self, image: Image, x: float, y: float, h: float) -> None:
        """German seals: one or two round ones, stacked, rings or full, with a coat of arms in."""
        dice = self.dice
        count = 1 if dice.chance(0.2) else 2
        radius, gap = h * dice.uniform(0.10, 0.19), h * dice.uniform(0.17, 0.27)
        ringed = dice.chance(0.55)
        for i in range(count):
            level = y + (0.0 if count == 1 else gap * (2 * i - 1)) + h * dice.uniform(-0.02, 0.02)
            colour = self.paint()
            rx, ry = radius * dice.uniform(0.88, 1.1), radius * dice.uniform(0.9, 1.15)
            if ringed:
                disc(image, x, level, rx, ry, colour, h * dice.uniform(0.02, 0.06))
            else:
                disc(image, x, level, rx, ry, colour)
            inner = self.paint() if dice.chance(0.6) else colour
            if dice.chance(0.5):
                disc(image, x, level, rx * dice.uniform(0.2, 0.6), ry * 0.5, inner)
            elif dice.chance(0.6):
                self._spokes(image, x, level, rx * 0.55, ry * 0.55, inner)

    def _spokes(
        self, image: Image, x: float, y: float, rx: float, ry: float, colour: Colour
    ) -> None:
        for i in range(6):
            angle = i * math.pi / 3
            disc(image, x + rx * math.cos(angle), y + ry * math.sin(angle), 0.6, 0.6, colour)

    def dots(self, image: Image, x: float, y: float, h: float) -> None:
        """Two round stickers, one above the other."""
        radius = h * self.dice.uniform(0.07, 0.14)
        for side in (-0.22, 0.2):
            disc(image, x, y + h * side, radius, radius, self.paint())

    def shield(self, image: Image, x: float, y: float, h: float) -> None:
        """A small shield, at times with a round sticker below."""
        dice = self.dice
        a, level = h * dice.uniform(0.1, 0.2), y + h * dice.uniform(-0.2, 0.1)
        self._shield(image, x, level, a, a * 1.3, self.paint())
        if dice.chance(0.6):
            disc(image, x, level - a * 0.2, a * 0.5, a * 0.5, self.paint())
        if dice.chance(0.4):
            disc(image, x, level + a * 2.1, a * 0.7, a * 0.7, self.paint())

    def _shield(self, image: Image, x: float, y: float, a: float, b: float, colour: Colour) -> None:
        polygon(
            image,
            [
                (x - a, y - b),
                (x + a, y - b),
                (x + a, y + b * 0.2),
                (x + a * 0.5, y + b * 0.8),
                (x, y + b),
                (x - a * 0.5, y + b * 0.8),
                (x - a, y + b * 0.2),
            ],
            colour,
        )

    def arms(self, image: Image, x: float, y: float, h: float) -> None:
        """A coat of arms: a shield with cross, stripes, chequers or a beast."""
        dice = self.dice
        a, b = h * dice.uniform(0.13, 0.24), h * dice.uniform(0.16, 0.32)
        field = jitter(dice, dice.pick((RED, RED, RED, EU_BLUE, (60, 60, 60), YELLOW, GREEN)), 30)
        charge = jitter(dice, dice.pick((WHITE, WHITE, WHITE, YELLOW, BLACK)), 20)
        self._shield(image, x, y, a, b, field)
        pen, form = max(1.0, h * 0.04), dice.below(4)
        if form == 0:
            line(image, x, y - b * 0.8, x, y + b * 0.7, charge, pen)
            for level, reach in ((-0.45, 0.5), (-0.05, 0.7))[: dice.between(1, 2)]:
                line(image, x - a * reach, y + b * level, x + a * reach, y + b * level, charge, pen)
        elif form == 1:
            self._blob(image, x, y, a * 0.6, b * 0.7, charge)
        elif form == 2:
            for level in (-0.5, 0.0, 0.4):
                line(image, x - a * 0.9, y + b * level, x + a * 0.9, y + b * level, charge, pen)
        else:
            for i in range(6):
                cx, cy = x + a * (i % 2 - 0.5), y - b * 0.7 + b * 0.5 * (i // 2)
                box(image, cx - a * 0.25, cy, cx + a * 0.2, cy + b * 0.2, charge)

    def _blob(self, image: Image, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        points = []
        for i in range(9):
            reach, angle = self.dice.uniform(0.35, 1.0), i * 2 * math.pi / 9
            points.append((x + rx * reach * math.cos(angle), y + ry * reach * math.sin(angle)))
        polygon(image, points, colour)

    def sticker(self, image: Image, x: float, y: float, h: float) -> None:
        """A rectangular sticker with a few small characters."""
        dice = self.dice
        a, b = h * dice.uniform(0.1, 0.26), h * dice.uniform(0.1, 0.3)
        level = y + h * dice.uniform(-0.25, 0.25)
        self.label(image, x, level, a, b)

    def label(self, image: Image, x: float, y: float, a: float, b: float) -> None:
        """A sticker of half sizes a x b with tiny text or print on it."""
        dice = self.dice
        paper = self.paint()
        box(image, x - a, y - b, x + a, y + b, paper)
        ink = BLACK if brightness(paper) > 110 else WHITE
        if dice.chance(0.3):
            outline(image, x - a, y - b, x + a, y + b, jitter(dice, ink, 60), 1)
        form = dice.random()
        if form < 0.55:
            word(self.bank, dice, image, "tiny", x, y, b * dice.uniform(0.9, 1.5), ink, a * 1.7)
        elif form < 0.8:
            for level in (-0.5, 0.45):
                word(self.bank, dice, image, "tiny", x, y + b * level, b * 0.75, ink, a * 1.6)
        elif form < 0.92:
            self._print(image, x, y, a, b)

    def _print(self, image: Image, x: float, y: float, a: float, b: float) -> None:
        """Coarse random print."""
        height, width = image.shape[:2]
        x0, y0 = max(0, int(x - a)), max(0, int(y - b))
        x1, y1 = min(width, int(x + a) + 1), min(height, int(y + b) + 1)
        if x1 > x0 and y1 > y0:
            noise = self.dice.rng.integers(0, 90, (4, 3, 3), np.uint8)
            grown = cv2.resize(noise, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
            image[y0:y1, x0:x1] = cv2.add(image[y0:y1, x0:x1] // 2, grown)

    def tall_sticker(self, image: Image, x: float, y: float, h: float) -> None:
        """The upright stickers in the middle of Missouri's plates: a month over a year."""
        dice = self.dice
        a, b = h * dice.uniform(0.09, 0.19), h * dice.uniform(0.2, 0.36)
        level = y + h * dice.uniform(-0.12, 0.12)
        self.label(image, x, level, a, b)
        if dice.chance(0.35):
            self.label(image, x, level + b * dice.uniform(-0.5, 0.5), a * 0.9, b * 0.45)

    def emblem(self, image: Image, x: float, y: float, h: float) -> None:
        """A stack of one to three badges of any form."""
        dice = self.dice
        count = dice.weighted(((1, 5.0), (2, 5.0), (3, 0.7)))
        total = h * (dice.uniform(0.45, 0.95) if count > 1 else dice.uniform(0.2, 0.8))
        step = total / count
        level = y - total / 2 + step / 2 + h * dice.uniform(-0.06, 0.06)
        half = min(step * dice.uniform(0.55, 1.25), h * 0.42) / 2
        for _ in range(count):
            self.badge(image, x, level, half, step * 0.45)
            level += step
            half *= dice.uniform(0.7, 1.2)

    def badge(self, image: Image, x: float, y: float, rx: float, ry: float) -> None:
        """One badge of half sizes rx x ry."""
        dice = self.dice
        colour, other = self.paint(), self.paint()
        form = dice.random()
        if form < 0.45:
            disc(image, x, y, rx, ry, colour, -1.0 if dice.chance(0.7) else max(1.0, ry * 0.15))
        elif form < 0.65:
            self._shield(image, x, y, rx, ry, colour)
        elif form < 0.85:
            self.label(image, x, y, rx, ry)
            return
        else:
            self._blob(image, x, y, rx, ry, colour)
        filling = dice.random()
        if filling < 0.3:
            disc(image, x, y, rx * dice.uniform(0.3, 0.65), ry * dice.uniform(0.3, 0.65), other)
        elif filling < 0.5:
            line(image, x - rx * 0.7, y, x + rx * 0.7, y, other, ry * 0.12)
            line(image, x, y - ry * 0.7, x, y + ry * 0.7, other, ry * 0.12)
        elif filling < 0.7:
            word(self.bank, dice, image, "tiny", x, y, ry, other, rx * 1.6)
        elif filling < 0.85:
            self._print(image, x, y, rx * 0.8, ry * 0.8)

    def faint(self, image: Image, x: float, y: float, h: float) -> None:
        """Faint graphics behind a gap: silhouettes, trunks, domes, that look like 1 and I."""
        dice = self.dice
        height, width = image.shape[:2]
        under = image[min(height - 1, max(0, int(y))), min(width - 1, max(0, int(x)))]
        ground: Colour = (float(under[0]), float(under[1]), float(under[2]))
        paint = jitter(
            dice,
            dice.pick(
                ((60, 60, 60), (160, 90, 40), (50, 120, 60), (60, 80, 180), (60, 150, 230), WHITE)
            ),
            40,
        )
        colour = mix(ground, paint, dice.uniform(0.08, 0.6))
        reach = h * dice.uniform(0.12, 0.5)
        for _ in range(dice.between(1, 4)):
            cx = x + dice.uniform(-0.3, 0.3) * reach
            top, bottom = y - h * dice.uniform(0.1, 0.5), y + h * dice.uniform(0.1, 0.5)
            form = dice.random()
            if form < 0.35:
                slant = dice.uniform(-0.05, 0.05) * h
                line(image, cx, top, cx + slant, bottom, colour, h * dice.uniform(0.03, 0.16))
            elif form < 0.65:
                self._blob(image, cx, y, reach * 0.5, (bottom - top) / 2, colour)
            elif form < 0.85:
                rx, ry = reach * dice.uniform(0.2, 0.5), (bottom - top) * dice.uniform(0.2, 0.5)
                pen = -1.0 if dice.chance(0.6) else h * 0.06
                disc(image, cx, (top + bottom) / 2, rx, ry, colour, pen, dice.uniform(0, 180))
            else:
                steps = [top + (bottom - top) * i / 5 for i in range(6)]
                points = [(cx + reach * dice.uniform(-0.4, 0.4), level) for level in steps]
                polyline(image, points, colour, h * 0.07)

    def icon(self, image: Image, x: float, y: float, h: float) -> None:
        """A plain coloured picture: peach, tree, orange, state shape, lion."""
        dice = self.dice
        rx, ry = h * dice.uniform(0.12, 0.3), h * dice.uniform(0.18, 0.5)
        colour, form = self.paint(), dice.random()
        if form < 0.35:
            self._blob(image, x, y, rx, ry, colour)
        elif form < 0.6:  # fruit
            disc(image, x, y + ry * 0.2, rx, min(ry, rx * 1.1), colour)
            disc(image, x + rx * 0.3, y - rx * 0.9, rx * 0.5, rx * 0.25, jitter(dice, GREEN, 40))
        elif form < 0.8:  # tree
            for level in (-0.7, -0.2, 0.3):
                half = rx * (0.55 + level * 0.45)
                cy = y + ry * level
                polygon(
                    image,
                    [
                        (x, cy - ry * 0.4),
                        (x + half + 1, cy + ry * 0.3),
                        (x - half - 1, cy + ry * 0.3),
                    ],
                    colour,
                )
            line(image, x, y, x, y + ry, colour, h * 0.05)
        else:
            self._shield(image, x, y, rx, ry, colour)
            self._blob(image, x, y, rx * 0.6, ry * 0.6, self.paint())

    def star(self, image: Image, x: float, y: float, h: float, ink: Colour | None = None) -> None:
        """A small star or state silhouette, as between the groups of Texas plates."""
        dice = self.dice
        radius = h * dice.uniform(0.08, 0.16)
        colour = ink if ink is not None else self.paint()
        points = []
        for i in range(10):
            reach = radius * (1.0 if i % 2 == 0 else dice.uniform(0.35, 0.6))
            angle = -math.pi / 2 + i * math.pi / 5
            points.append((x + reach * math.cos(angle), y + reach * math.sin(angle)))
        polygon(image, points, colour)

    def bolts(self, image: Image, most: int = 4) -> None:
        """Screws and their caps, near the edges."""
        dice = self.dice
        height, width = image.shape[:2]
        places = (0.08, 0.2, 0.25, 0.5, 0.75, 0.8, 0.92)
        for _ in range(dice.between(1, most)):
            x = dice.pick(places) * width + dice.uniform(-3, 3)
            y = dice.pick((0.07, 0.08, 0.5, 0.92, 0.93)) * height + dice.uniform(-2, 2)
            if 0.3 * height < y < 0.7 * height:
                x = dice.pick((0.015, 0.985)) * width
            radius = dice.uniform(0.02, 0.05) * height
            disc(image, x, y, radius, radius, any_colour(dice, 0, 200))
            if dice.chance(0.3):
                disc(
                    image, x - 0.3, y - 0.3, radius * 0.5, radius * 0.5, any_colour(dice, 120, 255)
                )

    def clutter(self, image: Image) -> None:
        """Graphics as tall as a character at the left and right edge."""
        dice = self.dice
        height, width = image.shape[:2]
        for right in (False, True):
            if not dice.chance(0.3):
                continue
            x = width * dice.uniform(-0.01, 0.03)
            x = width - x if right else x
            colour, form = any_colour(dice), dice.random()
            if form < 0.35:
                top, bottom = height * dice.uniform(0.1, 0.5), height * dice.uniform(0.5, 0.95)
                line(image, x, top, x + dice.uniform(-3, 3), bottom, colour, width * 0.012)
            elif form < 0.6:
                levels = [height * (0.2 + 0.15 * i) for i in range(5)]
                points = [(x + width * 0.025 * dice.uniform(-1, 1), level) for level in levels]
                polyline(image, points, colour, width * 0.01)
            else:
                rx, ry = width * dice.uniform(0.01, 0.03), height * dice.uniform(0.08, 0.3)
                disc(image, x, height * dice.uniform(0.3, 0.7), rx, ry, colour)
