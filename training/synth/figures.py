"""Figures as tall as a character: birds, cacti, buildings, stars, wheelchairs, foreign script.

They stand at the left or right of serials, and readers take them for characters.
"""

import math

from training.synth.canvas import (
    BLACK,
    WHITE,
    Colour,
    Image,
    box,
    brightness,
    disc,
    jitter,
    line,
    outline,
    polygon,
    polyline,
)
from training.synth.dice import Dice

KINDS = ("bird", "bird", "star", "plant", "plant", "building", "building", "blob", "loops")


def figure(dice: Dice, image: Image, x: float, y: float, w: float, h: float, ink: Colour) -> None:
    """A random figure of size w x h centred at (x, y)."""
    painters = {
        "bird": _bird,
        "star": _star,
        "plant": _plant,
        "building": _building,
        "blob": _blob,
        "loops": _loops,
    }
    painters[dice.pick(KINDS)](dice, image, x, y, w, h, ink)


def _walk(
    dice: Dice, x: float, y: float, w: float, h: float, points: int
) -> list[tuple[float, float]]:
    """A smooth closed outline around (x, y)."""
    reach = [dice.uniform(0.35, 1.0) for _ in range(points)]
    outline_points = []
    for i in range(points * 2):
        here, after = reach[i // 2 % points], reach[(i // 2 + 1) % points]
        radius = here if i % 2 == 0 else (here + after) / 2
        angle = math.pi * i / points
        outline_points.append(
            (x + w / 2 * radius * math.cos(angle), y + h / 2 * radius * math.sin(angle))
        )
    outline_points.append(outline_points[0])
    return outline_points


def _bird(dice: Dice, image: Image, x: float, y: float, w: float, h: float, ink: Colour) -> None:
    """An outline with a neck, a beak and a few feathers."""
    pen = max(1.0, h * dice.uniform(0.02, 0.06))
    body = _walk(dice, x, y + h * 0.15, w, h * 0.65, 6)
    if dice.chance(0.5):
        polygon(image, body, jitter(dice, WHITE if brightness(ink) < 128 else ink, 30))
    polyline(image, body, ink, pen)
    neck = x + w * dice.uniform(-0.3, 0.3)
    head = (neck + w * dice.uniform(-0.2, 0.2), y - h * 0.42)
    polyline(
        image, [(x, y), (neck, y - h * 0.2), head, (head[0] + w * 0.35, head[1] + 3)], ink, pen
    )
    for i in range(dice.between(1, 4)):
        level = y + h * (0.1 * i - 0.1)
        line(image, x - w * 0.3, level, x + w * dice.uniform(0.0, 0.4), level + h * 0.1, ink, pen)


def _star(dice: Dice, image: Image, x: float, y: float, w: float, h: float, ink: Colour) -> None:
    radius = min(w, h) / 2
    inner = dice.uniform(0.35, 0.5)
    points = [
        (
            x + radius * (1.0 if i % 2 == 0 else inner) * math.sin(i * math.pi / 5),
            y - radius * (1.0 if i % 2 == 0 else inner) * math.cos(i * math.pi / 5),
        )
        for i in range(11)
    ]
    if dice.chance(0.5):
        polygon(image, points, ink)
    else:
        polyline(image, points, ink, max(1.0, h * 0.04))


def _plant(dice: Dice, image: Image, x: float, y: float, w: float, h: float, ink: Colour) -> None:
    """Saguaro, agave, palm: strokes from one foot."""
    pen = max(1.0, h * dice.uniform(0.03, 0.1))
    foot = y + h / 2
    if dice.chance(0.4):
        line(image, x, foot, x, y - h / 2, ink, pen * 1.5)
        for side in (-1, 1):
            if dice.chance(0.8):
                bend, arm = y + h * dice.uniform(-0.2, 0.2), x + side * w * 0.4
                polyline(image, [(x, bend), (arm, bend), (arm, bend - h * 0.25)], ink, pen)
        return
    for i in range(dice.between(3, 7)):
        angle = math.pi * (0.15 + 0.7 * dice.random())
        reach = dice.uniform(0.6, 1.0)
        middle = (x + w * 0.3 * math.cos(angle), foot - h * 0.6 * reach * math.sin(angle))
        tip = (x + w * 0.7 * math.cos(angle), foot - h * reach * math.sin(angle))
        polyline(image, [(x, foot), middle, tip], ink, pen if i % 2 else pen / 2)


def _building(
    dice: Dice, image: Image, x: float, y: float, w: float, h: float, ink: Colour
) -> None:
    """Mosque, capitol, mission: a dome or gable between towers, in lines."""
    pen = max(1.0, h * dice.uniform(0.02, 0.05))
    left, right, ground = x - w / 2, x + w / 2, y + h / 2
    for tower in (left, right, left + w * 0.2, right - w * 0.2)[: dice.between(2, 4)]:
        line(image, tower, ground, tower, y - h * dice.uniform(0.2, 0.5), ink, pen)
    if dice.chance(0.5):
        polyline(
            image, [(left, ground), (x, y - h * dice.uniform(0, 0.4)), (right, ground)], ink, pen
        )
    else:
        disc(image, x, y + h * 0.05, w * 0.25, h * dice.uniform(0.12, 0.25), ink, pen)
    for i in range(dice.between(1, 4)):
        level = ground - h * 0.1 * i
        line(image, left, level, right, level, ink, pen)


def _blob(dice: Dice, image: Image, x: float, y: float, w: float, h: float, ink: Colour) -> None:
    polygon(image, _walk(dice, x, y, w, h, 7), ink)


def _loops(dice: Dice, image: Image, x: float, y: float, w: float, h: float, ink: Colour) -> None:
    """Flowers, ribbons, infinity signs."""
    pen = max(1.0, h * dice.uniform(0.03, 0.1))
    for _ in range(dice.between(2, 4)):
        disc(
            image,
            x + w * dice.uniform(-0.3, 0.3),
            y + h * dice.uniform(-0.35, 0.35),
            w * dice.uniform(0.12, 0.3),
            h * dice.uniform(0.08, 0.25),
            ink,
            pen if dice.chance(0.7) else -1.0,
            dice.uniform(0, 180),
        )


def wheelchair(dice: Dice, image: Image, x: float, y: float, a: float) -> None:
    """The sign for disabled drivers, in a square of half size a."""
    ground, ink = jitter(dice, (160, 85, 20), 30), WHITE
    if dice.chance(0.2):
        ground, ink = ink, ground
    box(image, x - a, y - a, x + a, y + a, ground)
    pen = max(1.0, a * 0.18)
    disc(image, x - a * 0.05, y + a * 0.3, a * 0.42, a * 0.42, ink, pen)
    disc(image, x - a * 0.1, y - a * 0.68, a * 0.16, a * 0.16, ink)
    polyline(
        image,
        [
            (x - a * 0.1, y - a * 0.5),
            (x - a * 0.05, y + a * 0.1),
            (x + a * 0.4, y + a * 0.1),
            (x + a * 0.6, y + a * 0.65),
        ],
        ink,
        pen,
    )


def script(
    dice: Dice, image: Image, x: float, y: float, h: float, letters: int, ink: Colour, kind: str
) -> None:
    """A run of invented ``han``, ``arabic`` or ``hebrew`` characters centred at (x, y)."""
    step = h * (0.62 if kind != "han" else 1.05)
    start = x - step * (letters - 1) / 2
    pen = max(1.0, h * dice.uniform(0.07, 0.12))
    for i in range(letters):
        centre = start + i * step
        if kind == "han":
            _han(dice, image, centre, y, h, ink, pen)
        elif kind == "arabic":
            _arabic(dice, image, centre, y, h, ink, pen)
        else:
            _hebrew(dice, image, centre, y, h, ink, pen)


def _han(dice: Dice, image: Image, x: float, y: float, h: float, ink: Colour, pen: float) -> None:
    half = h / 2
    for _ in range(dice.between(2, 4)):
        level = y + half * dice.uniform(-0.9, 0.9)
        reach = half * dice.uniform(0.5, 0.95)
        line(image, x - reach, level, x + reach, level, ink, pen)
    for _ in range(dice.between(1, 3)):
        column = x + half * dice.uniform(-0.7, 0.7)
        line(image, column, y - half * dice.uniform(0.3, 1), column, y + half * 0.9, ink, pen)
    if dice.chance(0.6):
        outline(image, x - half * 0.6, y, x + half * 0.6, y + half * 0.8, ink, pen)
    if dice.chance(0.6):
        line(image, x, y - half * 0.2, x - half * 0.9, y + half * 0.9, ink, pen)
        line(image, x, y - half * 0.2, x + half * 0.9, y + half * 0.9, ink, pen)


def _arabic(
    dice: Dice, image: Image, x: float, y: float, h: float, ink: Colour, pen: float
) -> None:
    form = dice.random()
    if form < 0.3:
        line(image, x, y - h * 0.45, x + h * dice.uniform(-0.1, 0.1), y + h * 0.4, ink, pen)
    elif form < 0.75:
        bowl = [
            (x + h * 0.3, y - h * dice.uniform(0, 0.3)),
            (x + h * 0.25, y + h * 0.2),
            (x, y + h * 0.3),
            (x - h * 0.3, y + h * dice.uniform(-0.1, 0.25)),
        ]
        polyline(image, bowl, ink, pen)
    else:
        disc(image, x, y, h * 0.18, h * 0.15, ink, pen)
    for _ in range(dice.between(0, 2)):
        dot = (x + h * dice.uniform(-0.2, 0.2), y + h * dice.pick((-0.4, 0.45)))
        disc(image, dot[0], dot[1], pen * 0.7, pen * 0.7, ink)


def _hebrew(
    dice: Dice, image: Image, x: float, y: float, h: float, ink: Colour, pen: float
) -> None:
    half = h * 0.35
    line(image, x - half * 0.8, y - half, x + half * 0.6, y - half, ink, pen)
    line(image, x + half * 0.6, y - half, x + half * 0.6, y + half, ink, pen)
    if dice.chance(0.5):
        line(
            image,
            x - half * 0.7,
            y - half * dice.uniform(0, 0.8),
            x - half * 0.7,
            y + half,
            ink,
            pen,
        )
    if dice.chance(0.4):
        line(image, x - half, y + half, x + half * 0.6, y + half, ink, pen)


def contrast(ground: Colour) -> Colour:
    """Black on a light ground, white on a dark one."""
    return BLACK if brightness(ground) > 115 else WHITE
