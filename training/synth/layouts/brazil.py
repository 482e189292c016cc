"""Plates of Brazil (grey until 2018, Mercosur since) and Argentina."""

from training.synth.canvas import (
    BLACK,
    RED,
    WHITE,
    YELLOW,
    Colour,
    Image,
    border,
    box,
    brightness,
    disc,
    jitter,
    mix,
    outline,
    sheet,
)
from training.synth.layouts.kit import Drawn, Kit
from training.synth.lettering import Place, Setting
from training.synth.serials import fill

WIDTH = 230
_GREYS: tuple[tuple[Colour, Colour, float], ...] = (
    ((178, 178, 174), (28, 28, 28), 0.72),
    ((45, 40, 175), (225, 225, 225), 0.14),
    ((228, 228, 226), (30, 30, 30), 0.07),
    ((35, 35, 35), (205, 205, 205), 0.04),
    ((110, 70, 30), (225, 225, 225), 0.03),
)


def brazil_grey(kit: Kit) -> Drawn:
    """Grey private and red commercial plates: city strip above, ``ABC.1234``."""
    dice = kit.dice
    shown = fill(dice, dice.weighted((("LLL.DDDD", 6), ("LLL-DDDD", 2), ("LLL DDDD", 3))))
    ground, ink = dice.weighted(tuple(((g, i), w) for g, i, w in _GREYS))
    paper = jitter(dice, ground, 26)
    ink = jitter(dice, ink, 16)
    height = round(WIDTH * dice.uniform(0.31, 0.36))
    image = sheet(dice, height, WIDTH, paper, 0.25)
    if dice.chance(0.5):
        _rim(kit, image, paper)
    _city(kit, image, paper, ink)
    if dice.chance(0.55):  # the lead seal with its wire
        x, y = WIDTH * dice.uniform(0.08, 0.16), height * dice.uniform(0.1, 0.2)
        colour = jitter(
            dice, dice.pick((RED, RED, (40, 180, 230), (60, 130, 60), (90, 90, 90))), 35
        )
        disc(
            image,
            x,
            y,
            height * dice.uniform(0.03, 0.08),
            height * dice.uniform(0.03, 0.07),
            colour,
        )
        if dice.chance(0.5):
            disc(image, x + 4, y + 3, 2.5, 2, mix(colour, BLACK, 0.3))
    _rivets(kit, image)
    cap = height * dice.uniform(0.5, 0.6)
    bottom = height * dice.uniform(0.86, 0.94)
    kit.row(
        image,
        shown,
        kit.font(("mandatory", 0.42), ("din", 0.25), ("plain", 0.13), ("stroke", 0.2)),
        Place(WIDTH * dice.uniform(0.025, 0.05), WIDTH * 0.97, bottom - cap, bottom),
        ink,
        Setting((0.88, 1.0), (0.6, 1.35), 0.5, 0.7, (0.06, 0.16)),
    )
    return Drawn(image, shown)


def _rim(kit: Kit, image: Image, paper: Colour) -> None:
    """The embossed rim: a lighter line beside a darker one."""
    height, width = image.shape[:2]
    inset, lift = height * kit.dice.uniform(0.015, 0.04), kit.dice.uniform(15, 60)
    light, dark = jitter(kit.dice, mix(paper, WHITE, lift / 100), 5), mix(paper, BLACK, lift / 120)
    outline(image, inset, inset, width - inset, height - inset, light, 1)
    outline(image, inset + 1, inset + 1, width - inset - 1, height - inset - 1, dark, 1)


def _city(kit: Kit, image: Image, paper: Colour, ink: Colour) -> None:
    dice = kit.dice
    height = image.shape[0]
    x, y = WIDTH * dice.uniform(0.45, 0.55), height * dice.uniform(0.13, 0.21)
    if dice.chance(0.45):  # a strip of its own, riveted on
        half, thick = WIDTH * dice.uniform(0.2, 0.32), height * dice.uniform(0.085, 0.12)
        box(image, x - half, y - thick, x + half, y + thick, jitter(dice, paper, 22))
        edge = mix(paper, BLACK, dice.uniform(0.1, 0.5))
        outline(image, x - half, y - thick, x + half, y + thick, edge, 1)
        for side in (-1, 1):
            disc(image, x + side * (half - 3), y, 1.5, 1.5, mix(paper, BLACK, 0.6))
    kit.word(
        image, "city", (x, y), height * dice.uniform(0.1, 0.145), ink, WIDTH * 0.6,
        dice.uniform(0.55, 1),
    )  # fmt: skip


def _rivets(kit: Kit, image: Image) -> None:
    dice = kit.dice
    height = image.shape[0]
    for x in (0.12, 0.25, 0.3, 0.7, 0.75, 0.88):
        if dice.chance(0.3):
            y = height * dice.pick((0.07, 0.1, 0.95))
            radius = height * dice.uniform(0.012, 0.03)
            disc(image, WIDTH * x, y, radius, radius, jitter(dice, (50, 50, 50), 50))


def mercosur(kit: Kit) -> Drawn:
    """White with the blue strip above: Brazil, Argentina, Uruguay, Paraguay."""
    dice = kit.dice
    shown = fill(
        dice,
        dice.weighted(
            (
                ("LLLDLDD", 6),
                ("LL DDD LL", 3),
                ("LLL DDDD", 1.2),
                ("LLLL DDD", 0.8),
                ("LLLDDDD", 0.6),
            )
        ),
    )
    height = round(WIDTH * dice.uniform(0.3, 0.36))
    ink = jitter(
        dice,
        dice.weighted((((18, 18, 18), 8), (RED, 1), ((130, 60, 20), 0.6), ((40, 110, 30), 0.5))),
        15,
    )
    image = sheet(dice, height, WIDTH, jitter(dice, WHITE, 14), 0.15)
    strip = round(height * dice.uniform(0.2, 0.27))
    image[:strip] = jitter(dice, (150, 65, 15), 28)
    pale = jitter(dice, WHITE, 12)
    kit.word(image, "place", (WIDTH * 0.5, strip * 0.5), strip * 0.62, pale, WIDTH * 0.4)
    for x in (0.055, 0.945):
        if dice.chance(0.75):
            flag = jitter(dice, dice.pick(((60, 150, 40), (235, 200, 120), WHITE, YELLOW)), 25)
            box(image, WIDTH * x - 8, strip * 0.25, WIDTH * x + 8, strip * 0.75, flag)
    if dice.chance(0.6):
        at = (WIDTH * 0.045, height * dice.uniform(0.75, 0.88))
        kit.word(image, "country", at, height * 0.13, ink, WIDTH * 0.055)
    if dice.chance(0.35):  # square code under the strip
        kit.marks.label(image, WIDTH * 0.045, height * 0.42, WIDTH * 0.025, height * 0.09)
    border(dice, image, ink, 0.4)
    top, bottom = strip + height * dice.uniform(0.07, 0.12), height * dice.uniform(0.89, 0.95)
    kit.row(
        image,
        shown,
        kit.font(("fe", 0.35), ("din", 0.35), ("stroke", 0.15), ("any", 0.15)),
        Place(WIDTH * dice.uniform(0.04, 0.1), WIDTH * 0.97, top, bottom),
        ink,
        Setting((0.85, 1.0), (0.6, 1.35), 0.5, 0.25, (0.06, 0.18)),
    )
    if dice.chance(0.3):
        kit.marks.bolts(image, 2)
    return Drawn(image, shown)


def argentina_black(kit: Kit) -> Drawn:
    """Argentina 1995 to 2016: white characters on a black field with a white rim."""
    dice = kit.dice
    shown = fill(dice, "LLL DDD")
    height = round(WIDTH * dice.uniform(0.4, 0.46))
    ground = jitter(dice, (32, 30, 30), 14)
    image = sheet(dice, height, WIDTH, ground, 0.1)
    ink = jitter(dice, (228, 228, 228), 16)
    outline(image, 2, 2, WIDTH - 3, height - 3, ink, height * dice.uniform(0.02, 0.05))
    band = jitter(dice, (225, 190, 140), 25)
    box(image, WIDTH * 0.2, height * 0.03, WIDTH * 0.8, height * 0.17, band)
    kit.word(image, "place", (WIDTH * 0.5, height * 0.1), height * 0.12, BLACK, WIDTH * 0.5)
    cap, middle = height * dice.uniform(0.5, 0.62), height * dice.uniform(0.54, 0.6)
    kit.row(
        image,
        shown,
        kit.font(("din", 0.4), ("stroke", 0.4), ("any", 0.2)),
        Place(WIDTH * 0.05, WIDTH * 0.95, middle - cap / 2, middle + cap / 2),
        ink if brightness(ink) > 128 else WHITE,
        Setting((0.85, 1.0), (0.6, 1.35), 0.5, 0.5, (0.06, 0.16)),
    )
    return Drawn(image, shown)
