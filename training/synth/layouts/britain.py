"""Plates of the United Kingdom and Ireland."""

from training.synth.canvas import (
    EU_BLUE,
    RED,
    WHITE,
    YELLOW,
    Colour,
    Image,
    any_colour,
    border,
    box,
    jitter,
    line,
    sheet,
)
from training.synth.layouts.europe import holder
from training.synth.layouts.kit import Drawn, Kit
from training.synth.lettering import Place, Setting
from training.synth.serials import fill

WIDTH = 250
_FONTS = (("mandatory", 0.4), ("plain", 0.35), ("din", 0.1), ("any", 0.15))
_PATTERNS = (
    ("LLDD LLL", 12), ("LDDD LLL", 2.5), ("LLL DDDL", 1.5), ("LDD LLL", 1), ("LD LLL", 0.7),
    ("LLL DDD", 0.7), ("DDDL", 0.4), ("L DD", 0.4), ("LLL DDL", 0.6), ("LLDDLLL", 2),
    ("LLL DL", 0.5), ("DDDD LL", 0.5), ("LL DDDD", 0.5), ("DDL DDDD", 0.3),
)  # fmt: skip


_IRISH = (
    ("DDD-L-DDDD", 4), ("DD-L-DDDDD", 4), ("DDD-LL-DDDD", 2), ("DD-LL-DDDD", 2), ("DDD-L-DDDDD", 2),
    ("DD-L-DDDD", 2), ("DDD-L-DDD", 1), ("DD-LL-DDD", 0.7), ("DDD L DDDD", 0.7),
)  # fmt: skip


def british(kit: Kit) -> Drawn:
    """White or yellow, the supplier's name below, a flag band at the left of some."""
    return _draw(kit, fill(kit.dice, kit.dice.weighted(_PATTERNS)), 0.35, YELLOW)


def irish(kit: Kit) -> Drawn:
    """Year, county, number with dashes between; the blue band on nearly all."""
    shown = fill(kit.dice, kit.dice.weighted(_IRISH))
    letters = [i for i, c in enumerate(shown) if c.isalpha()]
    if len(letters) == 1 and kit.dice.chance(0.5):  # Dublin, and its likeness to 0
        shown = shown[: letters[0]] + "D" + shown[letters[0] + 1 :]
    return _draw(kit, shown, 0.9, WHITE)


def _draw(kit: Kit, shown: str, band: float, second: Colour) -> Drawn:
    dice = kit.dice
    height = round(WIDTH * dice.uniform(0.2, 0.245))
    ground = jitter(dice, second if dice.chance(0.5) else WHITE, 16)
    ink = jitter(dice, (16, 16, 16), 12)
    image = sheet(dice, height, WIDTH, ground, 0.1)
    x0 = WIDTH * 0.03
    if dice.chance(band):
        wide = round(WIDTH * dice.uniform(0.07, 0.1))
        green = dice.chance(0.1)
        image[:, :wide] = jitter(dice, (60, 140, 30) if green else EU_BLUE, 25)
        if not green:
            _flag(kit, image, wide)
        at = (wide / 2, height * 0.76)
        kit.word(image, "country", at, height * 0.24, jitter(dice, WHITE, 12), wide * 0.8)
        x0 = wide + WIDTH * dice.uniform(0.01, 0.03)
    border(dice, image, ink, 0.3)
    cap, middle = height * dice.uniform(0.62, 0.78), height * dice.uniform(0.46, 0.52)
    kit.row(
        image,
        shown,
        kit.font(*_FONTS),
        Place(x0, WIDTH * 0.975, middle - cap / 2, middle + cap / 2),
        ink,
        Setting((0.84, 1.0) if len(shown) > 6 else (0.5, 0.95), (0.65, 1.3), 0.5, 0.2, (0.08, 0.2)),
    )
    if dice.chance(0.5):
        at = (WIDTH * 0.5, height * 0.94)
        kit.word(image, "supplier", at, height * 0.09, ink, WIDTH * 0.5, dice.uniform(0.5, 1))
    if dice.chance(0.2):
        kit.marks.bolts(image, 2)
    if dice.chance(0.15):
        image = holder(kit, image)
    return Drawn(image, shown)


def _flag(kit: Kit, image: Image, wide: int) -> None:
    """A rough Union flag, cross of St George or saltire over the country letters."""
    dice = kit.dice
    height = image.shape[0]
    x0, x1, y0, y1 = wide * 0.1, wide * 0.9, height * 0.2, height * 0.5
    kind = dice.random()
    if kind < 0.4:
        box(image, x0, y0, x1, y1, WHITE)
        line(image, x0, (y0 + y1) / 2, x1, (y0 + y1) / 2, RED, 3)
        line(image, (x0 + x1) / 2, y0, (x0 + x1) / 2, y1, RED, 3)
    elif kind < 0.7:
        line(image, x0, y0, x1, y1, WHITE, 2)
        line(image, x0, y1, x1, y0, WHITE, 2)
        line(image, x0, (y0 + y1) / 2, x1, (y0 + y1) / 2, RED, 2)
        line(image, (x0 + x1) / 2, y0, (x0 + x1) / 2, y1, RED, 2)
    else:
        box(image, x0, y0, x1, y1, any_colour(dice))
