"""One-row plates of continental Europe."""

import math

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
    disc,
    jitter,
    plain,
    sheet,
)
from training.synth.layouts.kit import Drawn, Kit
from training.synth.lettering import Place, Setting
from training.synth.serials import fill, text_of

WIDTH = 250
_FONTS = (("din", 0.45), ("fe", 0.12), ("stroke", 0.2), ("mono", 0.03), ("any", 0.2))
Weights = tuple[tuple[str, float], ...]
_SEALS: Weights = (("seals", 6), ("emblem", 2), ("dots", 1), ("shield", 1))
_MIXED: Weights = (
    ("seals", 2), ("emblem", 2), ("shield", 1), ("arms", 1.5), ("dots", 1), ("sticker", 1),
    ("dash", 2), ("none", 3), ("dot", 0.7),
)  # fmt: skip


def german(kit: Kit) -> Drawn:
    """D, A and the like: district letters, seals in a gap, letters, digits."""
    pattern = kit.dice.weighted(
        (
            ("L~LL DDDD", 3), ("L~LL DDD", 2), ("L~L DDDD", 2), ("L~L DDD", 1), ("LL~LL DDD", 3),
            ("LL~LL DDDD", 3), ("LL~L DDD", 2), ("LL~L DDDD", 2), ("LLL~LL DD", 2),
            ("LLL~LL DDD", 2), ("LLL~L DDD", 2), ("LLL~L DDDD", 2), ("L~LL DD", 1), ("LL~L D", 0.3),
            ("LL~LL DDH", 0.5), ("L~LL DDDE", 0.5), ("LL~L DDDH", 0.3),
        )
    )  # fmt: skip
    return _long(kit, pattern, _SEALS)


def austrian(kit: Kit) -> Drawn:
    """Austria: district, coat of arms, digits and letters; red rules."""
    dice = kit.dice
    pattern = dice.pick(("L~DDDDDL", "LL~DDDLL", "LL~DDDL", "LL~DDLLL", "L~DDDDL", "LL~DDDLL"))
    drawn = _long(kit, pattern, (("arms", 4), ("shield", 2), ("emblem", 2)))
    for y in (0.04, 0.96):
        row = int(drawn.image.shape[0] * y)
        drawn.image[max(0, row - 1) : row + 1] = jitter(dice, RED, 20)
    return drawn


def slavic(kit: Kit) -> Drawn:
    """CZ, SK, PL, HR, SLO, SRB, BG, UA: band, and stickers or arms between groups."""
    pattern = kit.dice.weighted(
        (
            ("DLD~DDDD", 3), ("DLD DDDD", 2), ("DLL~DDDD", 1.5), ("DLL DDDD", 1), ("LL~DDDLL", 3),
            ("LL DDDLL", 1), ("LLDDDLL", 1), ("LL DDDDD", 2), ("LLL DDDD", 2), ("LLL DDLL", 1),
            ("LL DDDDL", 1), ("LL DLDDD", 0.5), ("LLL LDDD", 1), ("LL~DDD-LL", 3),
            ("LL~DDDD-LL", 2), ("LL~DDD-L", 1), ("LL~DDD~LL", 2), ("LL~LDDD", 1),
            ("LL~DD-DLL", 0.5), ("L DDDD LL", 1), ("LL DDDD LL", 2), ("LLDDDDLL", 1.5),
            ("LL~LL DDD", 2), ("LL~DDDDL", 1),
        )
    )  # fmt: skip
    return _long(kit, pattern, _MIXED)


def romanian(kit: Kit) -> Drawn:
    """Romania: county, two or three digits, three letters."""
    pattern = kit.dice.weighted(
        (
            ("LL DD LLL", 6),
            ("L DD LLL", 3),
            ("L DDD LLL", 3),
            ("LL DDD DDD", 0.5),
            ("L DDDDDD", 0.5),
        )
    )
    return _long(kit, pattern, (("none", 1),))


def hungarian(kit: Kit) -> Drawn:
    """Hungary, the Baltic states, Finland, Sweden: letters, a dash or arms, digits."""
    pattern = kit.dice.weighted(
        (
            ("LLL-DDD", 4), ("LLL~DDD", 2), ("LLL DDD", 3), ("LL~LL-DDD", 2), ("LL LL~DDD", 1),
            ("DDD LLL", 2), ("LL-DDDD", 2), ("LL-DDD", 1), ("LLL DDL", 2), ("LLL~DDL", 1),
            ("LLL-DD", 0.7), ("LL~DDDDD", 1), ("LLLDDD", 1),
        )
    )  # fmt: skip
    return _long(
        kit, pattern, (("dash", 3), ("arms", 2), ("none", 2), ("seals", 1), ("sticker", 1))
    )


def latin(kit: Kit) -> Drawn:
    """F, I, E, P, B, L: two bands, dashes or dots."""
    dice = kit.dice
    pattern = dice.weighted(
        (
            ("LL-DDD-LL", 6), ("LL DDD LL", 3), ("LL DDDLL", 3), ("LL.DDD.LL", 0.7),
            ("DDDD LLL", 4), ("DDDDLLL", 1), ("LL-DD-LL", 1.5), ("DD-DD-LL", 1.5),
            ("DD-LL-DD", 1.5), ("D-LLL-DDD", 2.5), ("LLL DDD", 1), ("LL DDDD", 1),
            ("DDD LLL DD", 1), ("DDDD LL DD", 1), ("L-DDDD-LL", 0.5), ("LL~DDDD", 0.7),
            ("DDD-LLL", 0.7), ("DLLL DDD", 0.5), ("LL DDDDD", 0.5),
        )
    )  # fmt: skip
    return _long(kit, pattern, (("none", 2), ("dot", 1), ("dash", 1), ("shield", 0.5)), right=0.6)


def dutch(kit: Kit) -> Drawn:
    """The Netherlands and Luxembourg: black on yellow, dashes."""
    pattern = kit.dice.weighted(
        (
            ("DD-LLL-D", 3), ("LL-DDD-L", 3), ("L-DDD-LL", 3), ("DD-LL-DD", 1), ("LL-DD-LL", 1.5),
            ("D-LLL-DD", 2), ("LL-LL-DD", 2), ("DD-LL-LL", 2), ("LL-DDDD", 0.8), ("LL DDDD", 0.8),
            ("DDD-LL-D", 1),
        )
    )  # fmt: skip
    return _long(kit, pattern, (("dash", 1),), ground=YELLOW if kit.dice.chance(0.85) else WHITE)


def nordic(kit: Kit) -> Drawn:
    """DK, N, S, CH, IS: letters and digits, arms or a small sticker, often no band."""
    dice = kit.dice
    pattern = dice.weighted(
        (
            ("LL DDDDD", 4), ("LL DD DDD", 3), ("LL DDDD", 1), ("LLL DDD", 3), ("LLL DDL", 2),
            ("LL~DDDDDD", 1.5), ("LL.DDD DDD", 1), ("LL~DDDDD", 2), ("LL.DDDDD", 1), ("LL DDD", 1),
            ("LLL~DDL", 1.5), ("LLL~DDD", 1.5), ("LL~LDD", 0.7),
        )
    )  # fmt: skip
    return _long(
        kit, pattern, (("none", 3), ("sticker", 2), ("arms", 2), ("dot", 2), ("seals", 1)), band=0.5
    )


def any_european(kit: Kit) -> Drawn:
    """Any European pattern in any dress, taxi and diplomatic colours too."""
    dice = kit.dice
    pattern = dice.pick(
        ("LL DDD~LL", "LL~DDD LL", "LLL DDD", "LLL DDDD", "LL DDDD", "LLL DDLL", "DLL DDDD",
         "L DDDD", "LLDDDLL", "LL~DDDD", "LLLDDD", "DDDDDD", "DDD DDD", "DD LLL D", "LLL DD L",
         "LL LL DDD", "LL DD LLL", "LLDDD", "XXXXX", "XXXXXX", "XXXXXXX", "LL XXXX", "L~XXXXX",
         "LLLL DDD", "DD LL DD", "LDDD LLL", "LL-DDD~LL", "LL DD~DDD", "LL~XXXXX", "LL~LLLLL")
    )  # fmt: skip
    ground: Colour = WHITE
    if dice.chance(0.25):
        ground = dice.pick(
            (YELLOW, (170, 80, 20), (50, 120, 40), (40, 40, 180), BLACK, (90, 190, 240))
        )
    return _long(kit, pattern, _MIXED, ground=ground, band=0.6)


def _long(
    kit: Kit,
    pattern: str,
    marks: Weights,
    *,
    ground: Colour = WHITE,
    band: float = 0.85,
    right: float = 0.1,
) -> Drawn:
    """A plate about 4.6 times as wide as high: band at the left, one row."""
    dice = kit.dice
    shown = fill(dice, pattern)
    if dice.chance(0.05):
        shown = text_of(shown)
    height = round(WIDTH * dice.uniform(0.195, 0.245))
    paper = jitter(dice, ground, 15)
    ink = _ink(kit, ground)
    image = sheet(dice, height, WIDTH, paper, 0.12)
    x0, x1 = WIDTH * 0.03, WIDTH * 0.97
    if dice.chance(band):
        x0 = _band(kit, image, False) + WIDTH * dice.uniform(0.008, 0.03)
        if dice.chance(right):
            x1 = _band(kit, image, True) - WIDTH * dice.uniform(0.008, 0.03)
    elif dice.chance(0.6):  # coat of arms without band, at times the country below it
        x = WIDTH * dice.uniform(0.025, 0.045)
        kit.marks.draw(
            dice.pick(("arms", "arms", "emblem", "shield")),
            image, x, height * dice.uniform(0.3, 0.45), height * dice.uniform(0.6, 1.0), ink,
        )  # fmt: skip
        if dice.chance(0.6):
            at = (x, height * dice.uniform(0.7, 0.82))
            kit.word(image, "country", at, height * dice.uniform(0.15, 0.25), ink, WIDTH * 0.05)
        x0 = WIDTH * dice.uniform(0.06, 0.085)
    border(dice, image, ink, 0.55)
    if dice.chance(0.3):
        kit.marks.bolts(image, 2)
    cap, middle = height * dice.uniform(0.6, 0.78), height * dice.uniform(0.48, 0.54)
    count = len(text_of(shown))
    kit.row(
        image,
        shown,
        kit.font(*_FONTS),
        Place(x0, x1, middle - cap / 2, middle + cap / 2),
        ink,
        Setting(
            (0.82, 1.0) if count >= 6 else (0.5, 0.92),
            (0.6, 1.35),
            dice.pick((0.5, 0.5, 0.5, 0.2, 0.8)),
            0.4,
            (0.06, 0.2),
        ),
        marks,
    )
    if dice.chance(0.28):
        image = holder(kit, image)
    return Drawn(image, shown)


def _ink(kit: Kit, ground: Colour) -> Colour:
    dice = kit.dice
    if sum(ground) < 360:
        return jitter(dice, WHITE, 15)
    if dice.chance(0.9):
        return jitter(dice, (18, 18, 18), 15)
    return jitter(dice, dice.pick(((150, 50, 15), RED, GREEN)), 20)


def _band(kit: Kit, image: Image, right: bool) -> float:
    """The blue band with stars and country at one end; returns its inner edge."""
    dice = kit.dice
    height, width = image.shape[:2]
    wide = round(width * dice.uniform(0.06, 0.1))
    colour = jitter(dice, EU_BLUE, 25) if dice.chance(0.93) else any_colour(dice, 0, 200)
    left = width - wide if right else 0
    image[:, left : left + wide] = colour
    x, y, radius = left + wide / 2, height * dice.uniform(0.28, 0.36), height * 0.17
    if dice.chance(0.65):
        for i in range(10):
            angle = i * math.pi / 5
            disc(
                image, x + radius * math.cos(angle), y + radius * math.sin(angle), 0.9, 0.9,
                (50, 210, 240),
            )  # fmt: skip
    elif dice.chance(0.6):
        kit.marks.badge(image, x, y, radius, radius)
    if dice.chance(0.9):
        at = (x, height * dice.uniform(0.66, 0.82))
        high = height * dice.uniform(0.18, 0.34)
        kit.word(image, "country", at, high, jitter(dice, WHITE, 12), wide * 0.8)
    return float(left if right else wide)


def holder(kit: Kit, image: Image) -> Image:
    """The plate in a holder with a dealer's line below."""
    dice = kit.dice
    height, width = image.shape[:2]
    rim, foot = round(height * dice.uniform(0.03, 0.1)), round(height * dice.uniform(0.03, 0.25))
    tone = dice.pick((BLACK, BLACK, BLACK, (120, 120, 120), (190, 190, 190)))
    framed = plain(height + rim + foot, width + 2 * rim, jitter(dice, tone, 15))
    framed[rim : rim + height, rim : rim + width] = image
    if foot > 5 and dice.chance(0.75):
        full, across = framed.shape[:2]
        ink = jitter(dice, (230, 230, 230), 20) if framed[0, 0].mean() < 110 else BLACK
        kit.word(
            framed, "supplier", (across * 0.5, full - foot * 0.5), foot * 0.75, ink, across * 0.7
        )
    return framed
