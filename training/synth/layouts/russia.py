"""Plates of Russia: the region's digits at the right belong to the text."""

from training.synth.canvas import BLACK, WHITE, YELLOW, border, box, jitter, line, sheet
from training.synth.layouts.kit import Drawn, Kit
from training.synth.lettering import Place, Setting
from training.synth.serials import fill

WIDTH = 260
_LETTERS = "ABEKMHOPCTYX"


def russian(kit: Kit) -> Drawn:
    """Letter, three digits, two letters; then a rule, the region over RUS and the flag."""
    dice = kit.dice
    pattern = dice.weighted(
        (
            ("LDDDLL", 8),
            ("L DDD LL", 2),
            ("LLDDD", 1),
            ("DDDDLL", 0.6),
            ("LLDDDD", 0.6),
            ("LLDDDL", 0.2),
        )
    )
    main = "".join(
        dice.pick(_LETTERS) if c == "L" else fill(dice, c) if c == "D" else c for c in pattern
    )
    region = fill(dice, "DD" if dice.chance(0.55) else dice.pick(("DDD", "1DD", "7DD")))
    height = round(WIDTH * dice.uniform(0.2, 0.235))
    ground = jitter(dice, YELLOW if dice.chance(0.06) else WHITE, 16)
    image = sheet(dice, height, WIDTH, ground, 0.12)
    ink = jitter(dice, BLACK, 14)
    border(dice, image, ink, 0.75)
    split = WIDTH * dice.uniform(0.73, 0.77)
    line(image, split, 0, split, height, ink, dice.uniform(1, 2.5))
    font = kit.font(("din", 0.3), ("stroke", 0.4), ("mandatory", 0.1), ("any", 0.2))
    top, bottom = height * dice.uniform(0.16, 0.24), height * dice.uniform(0.82, 0.88)
    setting = Setting((0.85, 1.0), (0.6, 1.35), 0.5, 0.2, (0.06, 0.18))
    kit.row(image, main, font, Place(WIDTH * 0.03, split - 4, top, bottom), ink, setting)
    low = height * dice.uniform(0.58, 0.66)
    place = Place(split + 4, WIDTH * 0.97, height * dice.uniform(0.1, 0.16), low)
    kit.row(image, region, font, place, ink, setting)
    x = split + (WIDTH - split) * 0.4
    kit.word(image, "country", (x, height * 0.82), height * 0.17, ink, WIDTH * 0.09)
    if dice.chance(0.8):
        left, step = x + WIDTH * 0.055, height * 0.06
        for i, colour in enumerate((WHITE, (170, 60, 20), (40, 40, 200))):
            y = height * 0.74 + step * i
            box(image, left, y, left + WIDTH * 0.045, y + step, colour)
    if dice.chance(0.3):
        kit.marks.bolts(image, 2)
    return Drawn(image, main + region)
