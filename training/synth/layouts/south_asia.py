"""Plates of India and Pakistan."""

from training.synth.canvas import (
    BLACK,
    GREEN,
    WHITE,
    YELLOW,
    Colour,
    Image,
    border,
    box,
    disc,
    jitter,
    sheet,
)
from training.synth.figures import figure
from training.synth.layouts.kit import Drawn, Kit
from training.synth.lettering import Place, Setting
from training.synth.serials import fill, text_of
from training.synth.words import spaced

WIDTH = 250
_STATES = spaced(
    "AP AR AS BR CG CH DL GA GJ HP HR JH JK KA KL LA MH ML MN MP MZ NL OD OR PB PY RJ SK TN TR TS "
    "UK UP WB DD AN"
)
_INDIA = (
    ("@@ DD LL DDDD", 7), ("@@ DD L DDDD", 3), ("@@DD LL DDDD", 3), ("@@DD L DDDD", 1.5),
    ("@@DDLLDDDD", 3), ("@@ DL LL DDDD", 1.5), ("@@-DD-LL-DDDD", 2), ("@@-DD LL-DDDD", 1.5),
    ("@@ DD-LL DDDD", 1), ("@@DDLDDDD", 1.5), ("@@ DDDD", 0.4), ("@@ DD DDDD", 0.5),
    ("@@.DD.LL.DDDD", 0.7), ("DD #BH DDDD LL", 0.5), ("@@DDLL-DDDD", 1), ("@@ D LL DDDD", 0.5),
)  # fmt: skip
_DRESS: tuple[tuple[Colour, Colour, float], ...] = (
    (WHITE, BLACK, 7),
    (YELLOW, BLACK, 3),
    ((30, 30, 30), (40, 200, 240), 0.6),
    ((90, 150, 40), WHITE, 0.6),
    ((32, 32, 32), WHITE, 0.8),
)


def india(kit: Kit) -> Drawn:
    """One row, up to ten characters; high-security with IND and hologram, or hand-made."""
    dice = kit.dice
    pattern = dice.weighted(_INDIA).replace("#BH", "\x01")
    state = dice.pick(_STATES) if dice.chance(0.8) else fill(dice, "LL")
    shown = fill(dice, pattern.replace("@@", "\x02")).replace("\x02", state).replace("\x01", "BH")
    ground, ink = dice.weighted(tuple(((g, i), w) for g, i, w in _DRESS))
    ground, ink = jitter(dice, ground, 16), jitter(dice, ink, 14)
    height = round(WIDTH * dice.uniform(0.19, 0.27))
    image = sheet(dice, height, WIDTH, ground, 0.15)
    x0 = WIDTH * dice.uniform(0.025, 0.045)
    if dice.chance(0.5):
        at = (WIDTH * 0.035, height * dice.uniform(0.55, 0.7))
        kit.word(image, "country", at, height * 0.18, jitter(dice, (160, 70, 20), 30), WIDTH * 0.05)
        if dice.chance(0.6):
            silver = jitter(dice, (190, 180, 170), 35)
            box(image, WIDTH * 0.02, height * 0.2, WIDTH * 0.05, height * 0.45, silver)
            disc(image, WIDTH * 0.035, height * 0.32, 2.5, 2.5, jitter(dice, (150, 120, 90), 40), 1)
        x0 = WIDTH * 0.075
    border(dice, image, ink, 0.5)
    if dice.chance(0.6):
        kit.marks.bolts(image, 2)
    cap = height * dice.uniform(0.5, 0.74)
    middle = height * dice.uniform(0.47, 0.53)
    setting = Setting((0.84, 1.0), (0.5, 1.35), 0.5, 0.3, (0.05, 0.2))
    place = Place(x0, WIDTH * 0.97, middle - cap / 2, middle + cap / 2)
    kit.row(
        image, shown, kit.font(("any", 0.6), ("din", 0.25), ("stroke", 0.15)), place, ink, setting
    )
    return Drawn(image, shown)


def islamabad(kit: Kit) -> Drawn:
    """Pakistan: two or three letters, a break, two to four digits; place name or province strip."""
    dice = kit.dice
    shown = fill(
        dice,
        dice.weighted(
            (("LL DDD", 3), ("LL-DDD", 3), ("LLL-DDD", 4), ("LLL DDD", 3), ("LL.DDD", 1),
             ("LLL DDDD", 2), ("LLL-DD-DDDD", 0.6), ("LL~DDD", 3), ("LLL~DDD", 2), ("LLL DD", 0.5),
             ("LL DDDD", 1), ("LLL-DDDD", 2))
        ),
    )  # fmt: skip
    tall = dice.chance(0.65)
    width = 200
    height = round(width * (dice.uniform(0.44, 0.55) if tall else dice.uniform(0.22, 0.3)))
    ground, ink = jitter(dice, WHITE, 16), jitter(dice, (30, 26, 26), 18)
    if dice.chance(0.15):
        ground, ink = (35, 33, 33), jitter(dice, WHITE, 15)
    image = sheet(dice, height, width, ground, 0.2)
    x0, top, bottom = width * 0.05, height * 0.08, height * 0.92
    if dice.chance(0.45):
        x0 = _side(kit, image) + width * 0.03
    if tall:
        if dice.chance(0.8):
            at = (x0 + (width - x0) * 0.5, height * dice.uniform(0.8, 0.88))
            kit.word(image, "place", at, height * dice.uniform(0.1, 0.15), ink, width * 0.6)
            bottom = height * 0.76
        if dice.chance(0.35):
            at = (width * 0.5, height * 0.12)
            kit.word(image, "place", at, height * dice.uniform(0.08, 0.13), ink, width * 0.4)
            top = height * 0.22
    border(dice, image, ink, 0.65)
    if dice.chance(0.4):
        kit.marks.bolts(image, 2)
    cap = min(bottom - top, (width - x0) / len(text_of(shown)) * 2.4) * dice.uniform(0.8, 1.0)
    middle = (top + bottom) / 2
    kit.row(
        image,
        shown,
        kit.font(("din", 0.3), ("plain", 0.2), ("stroke", 0.2), ("any", 0.3)),
        Place(x0, width * 0.95, middle - cap / 2, middle + cap / 2),
        ink,
        Setting((0.75, 1.0), (0.6, 1.4), 0.5, 0.3, (0.06, 0.2)),
        (("dot", 2), ("dots", 2), ("dash", 1), ("sticker", 1), ("none", 1)),
    )
    return Drawn(image, shown)


def _side(kit: Kit, image: Image) -> float:
    """The picture at the left: province's green strip, mosque, monument; returns its edge."""
    dice = kit.dice
    height, width = image.shape[:2]
    wide: float = width * dice.uniform(0.1, 0.18)
    if dice.chance(0.5):
        box(image, 0, 0, wide, height, jitter(dice, GREEN, 30))
        disc(image, wide / 2, height * 0.3, wide * 0.25, wide * 0.25, jitter(dice, WHITE, 20))
        at = (wide / 2, height * 0.7)
        kit.word(image, "place", at, height * 0.1, jitter(dice, WHITE, 15), wide * 0.9)
    else:
        colour = jitter(dice, (140, 100, 95), 50)
        tall = height * dice.uniform(0.4, 0.75)
        figure(dice, image, wide * 0.55, height * 0.5, wide * 0.85, tall, colour)
    return wide
