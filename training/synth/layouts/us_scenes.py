"""Pictures behind US serials: hills, sunsets, deserts, bands, washes of colour."""

import numpy as np

from training.synth.canvas import (
    EU_BLUE,
    WHITE,
    Colour,
    Image,
    any_colour,
    box,
    disc,
    jitter,
    line,
    mix,
    polygon,
    polyline,
)
from training.synth.layouts.kit import Kit


def paint_scene(kit: Kit, image: Image, scene: str, ground: Colour) -> None:
    """Paints the named scene over an empty plate; ``none`` leaves it as it is."""
    painters = {
        "washes": _washes,
        "hills": _hills,
        "mountain": _mountain,
        "mountain_white": _mountain_white,
        "desert": _desert,
        "waves": _waves,
        "lake": _lake,
        "sun": _sun,
        "rainbow": _rainbow,
        "fade": _fade,
        "corner_star": _corner_star,
        "band": _thin_band,
        "top_band": _top_band,
        "bottom_band": _bottom_band,
        "both_bands": _both_bands,
    }
    if scene != "none":
        painters[scene](kit, image, ground)


def _ridge(kit: Kit, image: Image, low: float, high: float, colour: Colour, peaks: int) -> None:
    height, width = image.shape[:2]
    points = [(0.0, float(height))]
    for i in range(peaks):
        points.append((width * i / (peaks - 1), height * kit.dice.uniform(low, high)))
    polygon(image, [*points, (float(width), float(height))], colour)


def _washes(kit: Kit, image: Image, ground: Colour) -> None:
    dice = kit.dice
    height, width = image.shape[:2]
    colour = np.array(jitter(dice, ground, 80), np.float32)
    share = np.clip(kit.field(height, width) * 0.5, 0, 1)[..., None] * dice.uniform(0.3, 0.9)
    painted = image.astype(np.float32)
    painted += (colour - painted) * share
    image[:] = painted


def _hills(kit: Kit, image: Image, ground: Colour) -> None:
    dice = kit.dice
    for low in (0.6, 0.75)[: dice.between(1, 2)]:
        colour = mix(ground, any_colour(dice, 40, 220), dice.uniform(0.25, 0.8))
        _ridge(kit, image, low, 0.97, colour, dice.between(4, 9))


def _mountain(kit: Kit, image: Image, ground: Colour) -> None:
    dice = kit.dice
    height, width = image.shape[:2]
    colour = mix(ground, jitter(dice, (200, 140, 100), 60), dice.uniform(0.2, 0.6))
    x, half = width * dice.uniform(0.3, 0.7), width * dice.uniform(0.2, 0.5)
    top = height * dice.uniform(0.1, 0.5)
    polygon(image, [(x - half, height), (x, top), (x + half, height)], colour)
    if dice.chance(0.6):
        cap = top + (height - top) * 0.3
        shift = half * 0.3
        polygon(image, [(x - shift, cap), (x, top), (x + shift, cap)], jitter(dice, WHITE, 10))


def _mountain_white(kit: Kit, image: Image, ground: Colour) -> None:
    del ground
    dice = kit.dice
    height, width = image.shape[:2]
    ridge = [(width * i / 10, height * dice.uniform(0.08, 0.3)) for i in range(11)]
    polygon(image, [(0.0, 0.0), *ridge, (float(width), 0.0)], jitter(dice, WHITE, 12))


def _desert(kit: Kit, image: Image, ground: Colour) -> None:
    del ground
    dice = kit.dice
    height, width = image.shape[:2]
    ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    sky = np.array(jitter(dice, (215, 185, 110), 30), np.float32)
    low = np.array(jitter(dice, (225, 232, 238), 15), np.float32)
    image[:] = (sky * (1 - ramp) + low * ramp)[:, None]
    if dice.chance(0.5):
        disc(image, width * 0.55, height * 0.85, height * 0.18, height * 0.12, (170, 215, 245))
    _ridge(kit, image, 0.78, 0.92, jitter(dice, (120, 60, 100), 25), 12)
    x = width * dice.uniform(0.03, 0.08)
    cactus = jitter(dice, (90, 90, 40), 25)
    line(image, x, height * 0.35, x, height * 0.85, cactus, 4)
    arm = height * 0.55
    polyline(image, [(x - 5, arm - 12), (x - 5, arm), (x + 5, arm), (x + 5, arm - 15)], cactus, 3)


def _waves(kit: Kit, image: Image, ground: Colour) -> None:
    dice = kit.dice
    height, width = image.shape[:2]
    colour = mix(ground, jitter(dice, (200, 130, 60), 60), dice.uniform(0.2, 0.6))
    start = dice.uniform(0.1, 0.8)
    for i in range(dice.between(1, 4)):
        level, swing = height * (start + 0.15 * i), height * dice.uniform(0.02, 0.12)
        points = [(width * k / 12, level + swing * float(np.sin(k + i))) for k in range(13)]
        polyline(image, points, colour, dice.uniform(1, 8))


def _lake(kit: Kit, image: Image, ground: Colour) -> None:
    dice = kit.dice
    height, width = image.shape[:2]
    box(image, 0, height * 0.75, width, height, mix(ground, (220, 160, 80), dice.uniform(0.3, 0.8)))
    shore = height * dice.uniform(0.2, 0.3)
    trees = [(width * i / 20, shore + height * dice.uniform(-0.05, 0.03)) for i in range(21)]
    colour = jitter(dice, (70, 110, 50), 30)
    polygon(image, [(0.0, 0.0), *trees, (float(width), 0.0)], mix(ground, colour, 0.7))


def _sun(kit: Kit, image: Image, ground: Colour) -> None:
    dice = kit.dice
    height, width = image.shape[:2]
    x, y = width * dice.uniform(0.1, 0.9), height * dice.uniform(0.1, 0.9)
    radius = height * dice.uniform(0.1, 0.35)
    colour = mix(ground, jitter(dice, (60, 180, 250), 40), dice.uniform(0.3, 1.0))
    disc(image, x, y, radius, radius, colour)


def _rainbow(kit: Kit, image: Image, ground: Colour) -> None:
    height, width = image.shape[:2]
    lean = kit.dice.uniform(0.7, 1.4)
    for i, colour in enumerate(((60, 60, 220), (60, 200, 240), (90, 190, 90), (200, 120, 60))):
        disc(
            image,
            width * 0.5,
            height * 1.1 * lean,
            width * 0.62 - 6 * i,
            height * (0.95 * lean) - 6 * i,
            mix(ground, colour, 0.55),
            6,
        )


def _fade(kit: Kit, image: Image, ground: Colour) -> None:
    height = image.shape[0]
    ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    if kit.dice.chance(0.3):
        ramp = 1 - ramp
    low = np.array(jitter(kit.dice, (225, 235, 235), 20), np.float32)
    image[:] = (np.array(ground, np.float32) * (1 - ramp) + low * ramp)[:, None]


def _corner_star(kit: Kit, image: Image, ground: Colour) -> None:
    del ground
    height, width = image.shape[:2]
    x = width * kit.dice.uniform(0.08, 0.14)
    kit.marks.star(image, x, height * 0.2, height * 0.8, (60, 50, 50))


def _band(image: Image, top: bool, share: float, colour: Colour) -> None:
    height = image.shape[0]
    rows = max(1, round(height * share))
    if top:
        image[:rows] = colour
    else:
        image[-rows:] = colour


def _band_colour(kit: Kit) -> Colour:
    return jitter(
        kit.dice, kit.dice.pick((EU_BLUE, EU_BLUE, (130, 60, 20), (40, 40, 170), (60, 110, 40))), 30
    )


def _thin_band(kit: Kit, image: Image, ground: Colour) -> None:
    colour = mix(ground, _band_colour(kit), kit.dice.uniform(0.3, 0.8))
    _band(image, True, kit.dice.uniform(0.05, 0.12), colour)


def _top_band(kit: Kit, image: Image, ground: Colour) -> None:
    del ground
    _band(image, True, kit.dice.uniform(0.16, 0.24), _band_colour(kit))


def _bottom_band(kit: Kit, image: Image, ground: Colour) -> None:
    colour = mix(ground, any_colour(kit.dice), kit.dice.uniform(0.4, 1))
    _band(image, False, kit.dice.uniform(0.1, 0.22), colour)


def _both_bands(kit: Kit, image: Image, ground: Colour) -> None:
    del ground
    colour = _band_colour(kit)
    _band(image, True, kit.dice.uniform(0.16, 0.24), colour)
    _band(image, False, kit.dice.uniform(0.08, 0.2), colour)
