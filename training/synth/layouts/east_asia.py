"""Plates of China and Vietnam, and Latin parts like theirs."""

from training.synth.canvas import (
    BLACK,
    EU_BLUE,
    GREEN,
    WHITE,
    YELLOW,
    Colour,
    border,
    jitter,
    sheet,
)
from training.synth.figures import script
from training.synth.layouts.kit import Drawn, Kit
from training.synth.lettering import Place, Setting
from training.synth.serials import fill

WIDTH = 240


def chinese(kit: Kit) -> Drawn:
    """One province character, which is not text, a letter, and five or six characters."""
    dice = kit.dice
    dress: tuple[tuple[tuple[Colour, Colour, str], float], ...] = (
        ((jitter(dice, (170, 80, 20), 25), WHITE, "L.XXXXX"), 6),
        ((YELLOW, BLACK, "L.XXXXX"), 1.5),
        ((jitter(dice, (170, 210, 170), 25), BLACK, "L.XXXXXX"), 2),
        ((WHITE, BLACK, "L.XXXX"), 0.5),
        ((BLACK, WHITE, "L.XXXXX"), 0.5),
    )
    ground, ink, pattern = dice.weighted(dress)
    if dice.chance(0.6):
        pattern = pattern.replace("XXXXX", dice.pick(("DDDDD", "LDDDD", "LLDDD", "DLDDD", "DDDDL")))
    shown = fill(dice, pattern.replace(".", "~") if dice.chance(0.25) else pattern)
    height = round(WIDTH * dice.uniform(0.27, 0.34))
    image = sheet(dice, height, WIDTH, jitter(dice, ground, 15), 0.2)
    ink = jitter(dice, ink, 14)
    border(dice, image, ink, 0.7)
    if dice.chance(0.4):
        kit.marks.bolts(image, 3)
    cap = height * dice.uniform(0.6, 0.72)
    wide = WIDTH * dice.uniform(0.11, 0.14)
    script(dice, image, WIDTH * 0.03 + wide / 2, height * 0.5, min(cap, wide * 0.95), 1, ink, "han")
    kit.row(
        image,
        shown,
        kit.font(("din", 0.45), ("stroke", 0.35), ("plain", 0.2)),
        Place(WIDTH * 0.04 + wide, WIDTH * 0.965, height * 0.5 - cap / 2, height * 0.5 + cap / 2),
        ink,
        Setting((0.88, 1.0), (0.6, 1.3), 0.5, 0.3, (0.06, 0.18)),
        (("dot", 1), ("none", 1)),
    )
    return Drawn(image, shown)


def vietnamese(kit: Kit) -> Drawn:
    """One row: province, series, and four or five digits with a dot: 51F-123.45."""
    dice = kit.dice
    shown = fill(
        dice,
        dice.weighted(
            (("DDl-DDD.DD", 6), ("DDl-DDDD", 3), ("DDl DDD.DD", 1.5), ("DDlD-DDDD", 1),
             ("DDLL-DDD.DD", 1), ("DDl-DDDDD", 1))
        ),
    )  # fmt: skip
    height = round(WIDTH * dice.uniform(0.21, 0.26))
    ground, ink = dice.weighted(
        (
            ((WHITE, BLACK), 6.0),
            ((YELLOW, BLACK), 2.0),
            ((EU_BLUE, WHITE), 0.7),
            ((WHITE, GREEN), 0.2),
        )
    )
    image = sheet(dice, height, WIDTH, jitter(dice, ground, 16), 0.15)
    ink = jitter(dice, ink, 14)
    border(dice, image, ink, 0.75)
    if dice.chance(0.4):
        kit.marks.bolts(image, 2)
    if dice.chance(0.3):  # the police's raised seal
        x = WIDTH * dice.uniform(0.3, 0.7)
        kit.marks.faint(image, x, height * dice.pick((0.12, 0.88)), height * 0.3)
    cap = height * dice.uniform(0.58, 0.74)
    kit.row(
        image,
        shown,
        kit.font(("din", 0.35), ("stroke", 0.35), ("any", 0.3)),
        Place(WIDTH * 0.035, WIDTH * 0.965, height * 0.5 - cap / 2, height * 0.5 + cap / 2),
        ink,
        Setting((0.86, 1.0), (0.6, 1.3), 0.5, 0.4, (0.05, 0.16)),
    )
    return Drawn(image, shown)
