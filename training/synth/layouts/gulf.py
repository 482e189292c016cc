"""Plates of the Gulf states and Israel: the Latin part counts, the other script does not."""

from training.synth.canvas import BLACK, EU_BLUE, RED, WHITE, YELLOW, border, jitter, line, sheet
from training.synth.figures import script
from training.synth.layouts.kit import Drawn, Kit
from training.synth.lettering import Place, Setting
from training.synth.serials import fill, text_of

WIDTH = 240
_FONTS = (("din", 0.35), ("plain", 0.2), ("stroke", 0.25), ("any", 0.2))


def emirate(kit: Kit) -> Drawn:
    """UAE, Oman, Kuwait, Bahrain, Qatar: code and number, the state's name in both scripts."""
    dice = kit.dice
    shown = fill(
        dice,
        dice.weighted(
            (("L~DDDDD", 5), ("L~DDDD", 2), ("D~DDDDD", 2), ("DD~DDDDD", 3), ("DD~DDDD", 1.5),
             ("DDDDDD", 3), ("DDDDD", 2), ("LL~DDDDD", 1), ("DDDDD~L", 1), ("DDDD~LL", 2),
             ("DDDDD LL", 1), ("DD/DDDDD".replace("/", "~"), 1), ("DDDD", 0.5))
        ),
    )  # fmt: skip
    ground = jitter(dice, WHITE, 16)
    if dice.chance(0.15):
        ground = jitter(dice, dice.pick((YELLOW, RED, (160, 80, 30), (60, 120, 40))), 20)
    ink = jitter(dice, WHITE if sum(ground) < 330 else BLACK, 14)
    long = dice.chance(0.65)
    height = round(WIDTH * (dice.uniform(0.2, 0.25) if long else dice.uniform(0.42, 0.52)))
    image = sheet(dice, height, WIDTH, ground, 0.15)
    border(dice, image, ink, 0.5)
    x0, x1, top, bottom = WIDTH * 0.04, WIDTH * 0.96, height * 0.14, height * 0.88
    side = dice.random()
    if not long or side < 0.25:  # the name above
        level = height * dice.uniform(0.12, 0.2)
        script(dice, image, WIDTH * dice.uniform(0.3, 0.5), level, height * 0.2, dice.between(3, 6),
               ink, "arabic")  # fmt: skip
        if dice.chance(0.7):
            kit.word(image, "place", (WIDTH * 0.72, level), height * 0.14, ink, WIDTH * 0.3)
        top = height * dice.uniform(0.3, 0.36)
    elif side < 0.85:  # the name at one end, one script above the other
        wide = WIDTH * dice.uniform(0.12, 0.2)
        right = dice.chance(0.35)
        x = WIDTH - wide / 2 if right else wide / 2
        if dice.chance(0.3):
            start = round(x - wide / 2)
            image[:, max(0, start) : start + round(wide)] = jitter(
                dice, dice.pick((EU_BLUE, (60, 20, 110), RED)), 25
            )
        script(dice, image, x, height * 0.32, height * 0.3, dice.between(2, 4), ink, "arabic")
        kit.word(image, "place", (x, height * 0.7), height * 0.2, ink, wide * 0.85)
        x0, x1 = (x0, WIDTH - wide) if right else (wide, x1)
    cap = (bottom - top) * dice.uniform(0.8, 1.0)
    cap = min(cap, (x1 - x0) / len(text_of(shown)) * 2.4)
    middle = (top + bottom) / 2
    kit.row(
        image, shown, kit.font(*_FONTS), Place(x0, x1, middle - cap / 2, middle + cap / 2), ink,
        Setting((0.75, 1.0), (0.6, 1.35), 0.5, 0.3, (0.06, 0.2)),
        (("none", 4), ("emblem", 1), ("sticker", 1), ("dash", 0.5)),
    )  # fmt: skip
    return Drawn(image, shown)


def saudi(kit: Kit) -> Drawn:
    """Saudi Arabia, Egypt: four fields; Arabic above, the Latin serial in the lower half."""
    dice = kit.dice
    shown = fill(dice, dice.pick(("DDDD LLL", "DDDD LLL", "DDDD~LLL", "DDD LLL", "LLL DDDD")))
    height = round(
        WIDTH * (dice.uniform(0.24, 0.3) if dice.chance(0.5) else dice.uniform(0.45, 0.52))
    )
    image = sheet(dice, height, WIDTH, jitter(dice, WHITE, 16), 0.1)
    ink = jitter(dice, BLACK, 14)
    x1 = WIDTH * (dice.uniform(0.86, 0.92) if dice.chance(0.8) else 0.97)
    split = height * dice.uniform(0.45, 0.52)
    border(dice, image, ink, 0.7)
    line(image, 0, split, x1, split, ink, 1.5)
    middle = x1 * dice.uniform(0.5, 0.58)
    if dice.chance(0.8):
        line(image, middle, 0, middle, height, ink, 1.5)
    script(dice, image, middle / 2, split / 2, split * 0.6, 4, ink, "arabic")
    script(dice, image, (middle + x1) / 2, split / 2, split * 0.6, 3, ink, "arabic")
    if x1 < WIDTH * 0.95:
        line(image, x1, 0, x1, height, ink, 1.5)
        x = (x1 + WIDTH) / 2
        for i, letter in enumerate("KSA"):
            y = height * (0.55 + 0.13 * i)
            kit.row(image, letter, kit.font(*_FONTS), Place(x - 6, x + 6, y - 4, y + 4), ink,
                    Setting(emboss=0.0))  # fmt: skip
    font, setting = kit.font(*_FONTS), Setting((0.7, 0.95), (0.6, 1.35), 0.5, 0.2, (0.06, 0.25))
    first, second = shown.replace("~", " ").split(" ")
    top, bottom = split + height * 0.06, height * 0.94
    kit.row(image, first, font, Place(WIDTH * 0.02, middle - 3, top, bottom), ink, setting)
    kit.row(image, second, font, Place(middle + 3, x1 - 3, top, bottom), ink, setting)
    return Drawn(image, shown)


def israeli(kit: Kit) -> Drawn:
    """Israel: black digits on yellow, dashes or dots, the blue IL band."""
    dice = kit.dice
    shown = fill(
        dice,
        dice.weighted(
            (("DD-DDD-DD", 5), ("DDD-DD-DDD", 4), ("DD.DDD.DD", 1.5), ("DDD.DD.DDD", 1.5),
             ("DD DDD DD", 1), ("D-DDDD-DD", 0.7), ("DDDDDDD", 0.3), ("D DDDD L", 0.3))
        ),
    )  # fmt: skip
    long = dice.chance(0.75)
    height = round(WIDTH * (dice.uniform(0.2, 0.25) if long else dice.uniform(0.45, 0.55)))
    image = sheet(
        dice, height, WIDTH, jitter(dice, YELLOW if dice.chance(0.92) else WHITE, 16), 0.12
    )
    ink = jitter(dice, BLACK, 14)
    border(dice, image, ink, 0.6)
    x0, top, bottom = WIDTH * 0.04, height * 0.14, height * 0.86
    if long and dice.chance(0.85):
        wide = round(WIDTH * dice.uniform(0.06, 0.09))
        image[:, :wide] = jitter(dice, EU_BLUE, 25)
        kit.word(image, "country", (wide / 2, height * 0.35), height * 0.2, WHITE, wide * 0.8)
        script(dice, image, wide / 2, height * 0.7, height * 0.14, 3, WHITE, "hebrew")
        x0 = wide + WIDTH * 0.02
    elif not long:
        kit.marks.label(image, WIDTH * 0.5, height * 0.78, WIDTH * 0.07, height * 0.13)
        bottom = height * 0.66
    if dice.chance(0.3):
        kit.marks.bolts(image, 2)
    cap = (bottom - top) * dice.uniform(0.8, 1.0)
    middle = (top + bottom) / 2
    kit.row(
        image, shown, kit.font(*_FONTS),
        Place(x0, WIDTH * 0.96, middle - cap / 2, middle + cap / 2), ink,
        Setting((0.85, 1.0), (0.55, 1.35), 0.5, 0.3, (0.05, 0.15)),
    )  # fmt: skip
    return Drawn(image, shown)
