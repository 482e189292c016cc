"""Two-row plates: motorcycles, trucks, square rear plates of many regions."""

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
    border,
    jitter,
    sheet,
)
from training.synth.layouts.kit import Drawn, Kit
from training.synth.lettering import Place, Setting
from training.synth.serials import fill

_HEIGHT = 112
_PATTERNS: tuple[tuple[str, str, float], ...] = (
    ("LLDD", "LLL", 4), ("LLL", "DDDD", 3), ("LLL", "DLDD", 2), ("LL", "DDDD", 2),
    ("LLDD", "LLDDDD", 2.5), ("LLDDL", "DDDD", 3), ("LLDDLL", "DDDD", 3), ("LL~DD~LL", "DDDD", 0.7),
    ("LL", "DDDLL", 1.5), ("LLL", "LDDD", 1), ("LL", "DDDDD", 1.5), ("LLL", "DDD", 2),
    ("LL", "XXXX", 0.7), ("L", "LLDDD", 0.7), ("DLD", "DDDD", 1.5), ("DDL", "DDDD", 1),
    ("LDDD", "LLDD", 0.7), ("DDD", "LLL", 1), ("DD", "LLLD", 0.7), ("XXX", "XXX", 0.7),
    ("XX", "XXXX", 0.5), ("XXX", "XXXX", 0.7), ("LL", "DDD", 0.7), ("DLL", "DDDD", 1),
    ("LLLL", "DD", 0.3), ("DDDD", "LL", 0.7), ("LLD", "DDDD", 0.7), ("LDL", "DDD", 0.4),
    ("LL~", "L DDD", 1.5), ("LLL~", "LL DD", 1.5), ("L~", "LL DDDD", 1.5), ("LL~LL", "DDD", 1.2),
    ("DD-LD", "DDDDD", 2), ("DDL", "DDD.DD", 2.5), ("DD-LL", "DDD.DD", 1.5), ("DD-LD", "DDD.DD", 2),
    ("LDDD", "LLL", 1), ("LLLDD", "DDD", 0.5), ("LLL-DD", "DDDD", 1.5), ("LL-DD", "DDDD", 1),
    ("LL", "DD DD", 0.6), ("LL DD", "L DDDD", 1), ("LL", "DD-DD", 0.7), ("L", "DDDDD", 0.7),
    ("LL DDD", "LL", 0.8), ("L DDD LL", "DDD", 0.5), ("LLD", "DDL", 0.4), ("LDD", "DDD", 0.6),
)  # fmt: skip
_WEIGHTED = tuple(((upper, lower), weight) for upper, lower, weight in _PATTERNS)
_DRESS: tuple[tuple[Colour, Colour, float], ...] = (
    (WHITE, BLACK, 8),
    (YELLOW, BLACK, 4),
    ((32, 32, 32), WHITE, 1.6),
    ((45, 40, 175), WHITE, 1),
    ((150, 60, 20), WHITE, 1),
    ((70, 140, 40), WHITE, 0.8),
    ((178, 178, 176), BLACK, 1.6),
    (WHITE, RED, 0.5),
    (WHITE, (120, 50, 20), 0.6),
    (WHITE, GREEN, 0.4),
)
_MARKS = (
    ("dots", 2.0), ("seals", 2.0), ("shield", 1.0), ("dash", 2.0), ("none", 4.0), ("dot", 1.5),
    ("emblem", 1.0), ("sticker", 0.7),
)  # fmt: skip
_FONTS = (("din", 0.28), ("stroke", 0.42), ("face", 0.3))


def two_row(kit: Kit) -> Drawn:
    """Any two-row plate, between upright and twice as wide as high."""
    dice = kit.dice
    upper, lower = dice.weighted(_WEIGHTED)
    upper, lower = fill(dice, upper), fill(dice, lower)
    width = round(_HEIGHT * dice.uniform(0.9, 2.0))
    ground, ink = dice.weighted(tuple(((g, i), w) for g, i, w in _DRESS))
    ground, ink = jitter(dice, ground, 16), jitter(dice, ink, 14)
    image = sheet(dice, _HEIGHT, width, ground, 0.2)
    x0, x1, top, bottom = _dress(kit, image, ink)
    border(dice, image, ink, 0.5)
    middle = top + (bottom - top) * dice.uniform(0.4, 0.56)
    gap = _HEIGHT * dice.uniform(0.015, 0.045)
    font = kit.font(*_FONTS)
    emboss = dice.pick((0.2, 0.8))
    shares = (0.55, 0.95) if len(upper) <= 3 else (0.8, 1.0)
    kit.row(
        image,
        upper,
        font,
        Place(x0, x1, top + gap, middle - gap),
        ink,
        Setting(shares, (0.5, 1.45), dice.pick((0.5, 0.5, 0.5, 0.0, 1.0)), emboss, (0.05, 0.2)),
        _MARKS,
    )
    start = width * 0.04 if dice.chance(0.7) else x0
    kit.row(
        image,
        lower,
        font if dice.chance(0.93) else kit.font(*_FONTS),
        Place(start, x1, middle + gap, bottom - gap / 2),
        ink,
        Setting((0.7, 1.0), (0.5, 1.45), 0.5, emboss, (0.05, 0.2)),
        _MARKS,
    )
    if dice.chance(0.3):
        kit.marks.bolts(image, 3)
    return Drawn(image, upper + lower, 2)


def _dress(kit: Kit, image: Image, ink: Colour) -> tuple[float, float, float, float]:
    """Strip, city, band or words; returns the room left for the rows (x0, x1, top, bottom)."""
    dice = kit.dice
    height, width = image.shape[:2]
    x0, x1, top, bottom = width * 0.04, width * 0.96, height * 0.05, height * 0.95
    roll = dice.random()
    pale = jitter(dice, WHITE, 12)
    if roll < 0.2:
        strip = round(height * dice.uniform(0.12, 0.2))
        image[:strip] = jitter(dice, (150, 60, 15), 30)
        kit.word(image, "place", (width * 0.5, strip * 0.5), strip * 0.6, pale, width * 0.5)
        top = strip + height * 0.03
    elif roll < 0.35:
        kind = dice.pick(("city", "city", "place", "state"))
        at = (width * 0.5, height * 0.12)
        kit.word(image, kind, at, height * dice.uniform(0.08, 0.14), ink, width * 0.8)
        top = height * 0.21
    elif roll < 0.6:
        wide = round(width * dice.uniform(0.07, 0.13))
        tall = height if dice.chance(0.5) else height // 2
        image[:tall, :wide] = jitter(dice, EU_BLUE if dice.chance(0.85) else any_colour(dice), 30)
        at = (wide / 2, height * 0.38)
        kit.word(image, "country", at, height * 0.12, pale, wide * 0.8)
        x0 = wide + width * 0.03
    elif roll < 0.68:
        kind = dice.pick(("slogan", "place", "supplier"))
        kit.word(image, kind, (width * 0.5, height * 0.93), height * 0.08, ink, width * 0.7)
        bottom = height * 0.86
    return x0, x1, top, bottom
