"""Plates of nowhere in particular: any pattern, proportion, colour and mark."""

from training.synth.canvas import BLACK, WHITE, any_colour, border, jitter, sheet
from training.synth.layouts.kit import Drawn, Kit
from training.synth.lettering import Place, Setting
from training.synth.serials import fill, text_of
from training.synth.words import spaced

WIDTH = 230
_PATTERNS = spaced(
    "LLLDDL LDDLLL DLLDLL LLDDLLLL LLDDLL LDDDLLDDD LDDDLLDD DDLLLDD DDLLDDD DDLLDDDD DDDDDDD "
    "DDDDDDDD LDDDDD LLLDDDD LLLDDLL LLDDDLL LLLLDD LDLDDD LLLDDDL DDLLL LLDDDDL DDDDLL DDDLL "
    "LDDDDLL LDDDDL LLDDD LDDD DDDL LLDDDDLL LLDDDDD DDDDDLL LLLLDDD DLLLDDD LLLLL LLLLLL"
)


def generic(kit: Kit) -> Drawn:
    """Three to ten characters, half of them entirely random."""
    dice = kit.dice
    length = dice.weighted(
        ((3, 0.5), (4, 1.2), (5, 2), (6, 6), (7, 7), (8, 4), (9, 1.6), (10, 0.6))
    )
    shown = _broken(kit, fill(dice, "X" * length if dice.chance(0.5) else dice.pick(_PATTERNS)))
    height = round(WIDTH / dice.uniform(1.9, 5.4))
    ground = any_colour(dice, 120, 255) if dice.chance(0.55) else jitter(dice, WHITE, 20)
    ink = any_colour(dice, 0, 90)
    if dice.chance(0.18):
        ground, ink = ink, ground
    image = sheet(dice, height, WIDTH, ground, 0.4)
    border(dice, image, ink, 0.5)
    top, bottom, x0, x1 = height * 0.08, height * 0.92, WIDTH * 0.03, WIDTH * 0.97
    if height > 72 or dice.chance(0.15):
        if dice.chance(0.6):
            kind = dice.pick(("state", "slogan", "city", "place", "dealer"))
            at = (WIDTH * dice.uniform(0.4, 0.6), height * 0.12)
            kit.word(image, kind, at, height * dice.uniform(0.09, 0.16), ink, WIDTH * 0.8)
            top = height * 0.23
        if dice.chance(0.5):
            kind = dice.pick(("slogan", "dealer", "place", "supplier"))
            at = (WIDTH * dice.uniform(0.4, 0.6), height * 0.92)
            kit.word(image, kind, at, height * dice.uniform(0.06, 0.12), ink, WIDTH * 0.8)
            bottom = height * 0.85
    for right in (False, True):
        if dice.chance(0.22):
            wide = round(WIDTH * dice.uniform(0.05, 0.12))
            start = WIDTH - wide if right else 0
            image[:, start : start + wide] = any_colour(dice)
            at = (start + wide / 2, height * 0.6)
            pale = WHITE if dice.chance(0.7) else BLACK
            kit.word(image, "country", at, min(height * 0.25, wide * 0.7), pale, wide * 0.8)
            x0, x1 = (x0, start - 2.0) if right else (wide + 2.0, x1)
    if dice.chance(0.4):
        kit.marks.bolts(image)
    if dice.chance(0.25):
        kit.marks.clutter(image)
    cap = min((bottom - top) * dice.uniform(0.7, 1.0), (x1 - x0) / len(text_of(shown)) * 2.6)
    middle = (top + bottom) / 2
    kit.row(
        image,
        shown,
        kit.font(),
        Place(x0, x1, middle - cap / 2, middle + cap / 2),
        ink,
        Setting((0.7, 1.0), (0.5, 1.5), 0.5, 0.4, (0.04, 0.22)),
        (
            ("dots", 1), ("seals", 1), ("shield", 1), ("dash", 2), ("none", 3), ("sticker", 1),
            ("icon", 1), ("dot", 1), ("faint", 1.5), ("arms", 1), ("emblem", 1.5), ("star", 0.5),
        ),
    )  # fmt: skip
    return Drawn(image, shown)


def _broken(kit: Kit, serial: str) -> str:
    """The serial with up to two breaks."""
    dice = kit.dice
    for _ in range(dice.pick((0, 0, 1, 1, 2))):
        at = dice.between(1, len(serial) - 1)
        if serial[at].isalnum() and serial[at - 1].isalnum():
            serial = serial[:at] + dice.pick("  ~~-.") + serial[at:]
    return serial
