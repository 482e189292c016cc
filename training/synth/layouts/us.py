"""Plates of the United States and Canada: 2 : 1, graphics, slogans, stickers, dealers' frames."""

from dataclasses import replace

from training.synth.canvas import (
    BLACK,
    GREEN,
    RED,
    WHITE,
    Colour,
    Image,
    any_colour,
    border,
    box,
    brightness,
    jitter,
    mix,
    plain,
    polygon,
    sheet,
)
from training.synth.figures import figure, wheelchair
from training.synth.layouts.kit import Drawn, Kit
from training.synth.layouts.us_scenes import paint_scene
from training.synth.layouts.us_states import INK, NAVY, PALE, PATTERNS, STATES, State
from training.synth.lettering import Place, Setting
from training.synth.serials import DIGITS, LETTERS, fill, text_of, vanity

WIDTH = 200
_WEIGHTED = tuple((state, state.weight) for state in STATES)
_FONTS = (("us", 0.52), ("stroke", 0.18), ("din", 0.12), ("face", 0.18))
_INKS: tuple[Colour, ...] = (
    INK,
    INK,
    NAVY,
    NAVY,
    (120, 40, 20),
    (50, 30, 150),
    (30, 80, 20),
    (90, 30, 60),
    (85, 80, 20),
)
_GROUNDS: tuple[Colour, ...] = (
    (190, 220, 250),
    (250, 235, 200),
    (215, 240, 210),
    (170, 200, 240),
    (250, 215, 225),
    (250, 220, 150),
    (60, 200, 250),
    (120, 190, 120),
    (225, 170, 90),
    (120, 45, 10),
    (30, 30, 30),
    (10, 90, 60),
    (120, 20, 40),
)


def state_plate(kit: Kit) -> Drawn:
    """The standard issue of a state from the table, in one of its patterns."""
    dice = kit.dice
    state = dice.weighted(_WEIGHTED)
    shown = fill(dice, dice.pick(state.patterns))
    if dice.chance(0.06):
        shown = vanity(dice)
    return _draw(kit, state, shown)


def any_state_plate(kit: Kit) -> Drawn:
    """A plate of no state in particular: any pattern, colour, scene and mark."""
    dice = kit.dice
    ground = jitter(dice, dice.pick(_GROUNDS), 25) if dice.chance(0.45) else PALE
    ink = dice.pick(_INKS) if brightness(ground) > 115 else WHITE
    state = State(
        "",
        "",
        (),
        ink,
        ground,
        ink if dice.chance(0.5) else any_colour(dice, 0, 160),
        ("faint", "icon", "sticker", "star", "dash", "shape", "none", "arms", "seals", "dot"),
        ("none", "washes", "hills", "waves", "fade", "top_band", "both_bands", "mountain", "sun",
         "bottom_band", "desert", "lake", "rainbow"),
    )  # fmt: skip
    if dice.chance(0.3):
        return _draw(kit, state, vanity(dice))
    return _draw(kit, state, _grouped(kit, fill(dice, dice.weighted(PATTERNS))))


def _grouped(kit: Kit, serial: str) -> str:
    """The serial split in two where letters meet digits, on most plates."""
    dice = kit.dice
    if len(serial) < 5 or dice.chance(0.38):
        return serial
    turns = [i for i in range(2, len(serial) - 1) if serial[i].isalpha() != serial[i - 1].isalpha()]
    at = dice.pick(turns) if turns and dice.chance(0.8) else len(serial) // 2
    return serial[:at] + dice.pick(("~", "~", " ", "-", ".")) + serial[at:]


def _draw(kit: Kit, state: State, shown: str) -> Drawn:
    dice = kit.dice
    height = round(WIDTH * dice.uniform(0.47, 0.53))
    ground = jitter(dice, state.ground, 14)
    image = sheet(dice, height, WIDTH, ground, 0.25)
    scene = dice.pick(state.scene)
    paint_scene(kit, image, scene, ground)
    middle, cap = height * dice.uniform(0.47, 0.55), height * dice.uniform(0.42, 0.58)
    _words(kit, image, state, ground)
    ink = jitter(dice, state.ink, 16)
    border(dice, image, ink, 0.3)
    x0, x1 = _side_pieces(kit, image, middle, cap, ink)
    count = len(text_of(shown))
    kit.row(
        image,
        shown,
        kit.font(*_FONTS),
        Place(x0, x1, middle - cap / 2, middle + cap / 2),
        ink,
        Setting(
            (0.84, 1.0) if count >= 6 else (0.5, 0.92),
            (0.55, 1.5),
            0.5 if dice.chance(0.9) else dice.uniform(0.2, 0.8),
            0.6,
            (0.03, 0.16),
        ),
        tuple((_MARKS.get(mark, mark), 1.0) for mark in state.marks),
    )
    _stickers(kit, image)
    if dice.chance(0.55):
        kit.marks.bolts(image)
    if dice.chance(0.25):
        kit.marks.clutter(image)
    if dice.chance(0.45):
        image = _frame(kit, image)
    return Drawn(image, shown)


_MARKS = {"shape": "star", "fruit": "icon", "tree": "icon", "crown": "faint"}
"""Marks that look like another one from where a camera stands."""


def _words(kit: Kit, image: Image, state: State, ground: Colour) -> None:
    dice = kit.dice
    height = image.shape[0]
    ink = jitter(dice, state.word_ink, 25)
    if brightness(ink) > 180 and brightness(ground) > 150:  # written on a dark band at the top
        kit.word(image, "state", (WIDTH * 0.5, height * 0.1), height * 0.13, ink, WIDTH * 0.6)
        ink = jitter(dice, state.ink, 25)
    elif dice.chance(0.92):
        kit.word(
            image,
            "state",
            (WIDTH * dice.uniform(0.44, 0.56), height * dice.uniform(0.09, 0.17)),
            height * dice.uniform(0.11, 0.24),
            ink,
            WIDTH * dice.uniform(0.35, 0.75),
            dice.uniform(0.65, 1),
        )
    if dice.chance(0.65):
        kit.word(
            image,
            "slogan",
            (WIDTH * dice.uniform(0.44, 0.56), height * dice.uniform(0.87, 0.93)),
            height * dice.uniform(0.06, 0.13),
            ink,
            WIDTH * dice.uniform(0.3, 0.75),
            dice.uniform(0.5, 1),
        )


def _stickers(kit: Kit, image: Image) -> None:
    dice = kit.dice
    height = image.shape[0]
    for x, y, chance in ((0.1, 0.13, 0.35), (0.9, 0.13, 0.45), (0.1, 0.88, 0.15), (0.9, 0.88, 0.2)):
        if dice.chance(chance):
            a, b = WIDTH * dice.uniform(0.045, 0.09), height * dice.uniform(0.06, 0.12)
            kit.marks.label(
                image,
                WIDTH * x + dice.uniform(-4, 4),
                height * y + dice.uniform(-2, 2),
                a,
                b,
            )


def _side_pieces(
    kit: Kit, image: Image, middle: float, cap: float, ink: Colour
) -> tuple[float, float]:
    """What stands at the serial's left or right on some plates; returns the room that is left."""
    dice = kit.dice
    x0, x1 = WIDTH * dice.uniform(0.02, 0.07), WIDTH * dice.uniform(0.93, 0.98)
    roll = dice.random()
    height = image.shape[0]
    if roll < 0.09:  # small characters, one above the other: not part of the serial
        left = dice.chance(0.3)
        _stacked(kit, image, WIDTH * (0.075 if left else 0.93), middle, cap, ink)
        x0, x1 = (WIDTH * 0.14, x1) if left else (x0, WIDTH * 0.87)
        roll = dice.uniform(0.09, 1.2)
    if roll < 0.13:
        a = min(WIDTH * dice.uniform(0.055, 0.09), height * 0.24)
        wheelchair(dice, image, x0 + a, middle, a)
        return x0 + 2 * a + WIDTH * 0.02, x1
    if roll < 0.16:
        x, rx = WIDTH * dice.uniform(0.09, 0.14), WIDTH * dice.uniform(0.05, 0.085)
        kit.marks.badge(image, x, middle, rx, height * dice.uniform(0.14, 0.27))
        return max(x0, WIDTH * 0.21), x1
    if roll < 0.28:  # bird, cactus, building at one side
        wide = WIDTH * dice.uniform(0.06, 0.16)
        tall = height * dice.uniform(0.35, 0.7)
        colour = ink if dice.chance(0.5) else kit.marks.paint()
        level = middle + height * dice.uniform(-0.08, 0.08)
        if dice.chance(0.75):
            figure(dice, image, x0 + wide / 2, level, wide, tall, colour)
            return x0 + wide + WIDTH * 0.01, x1
        figure(dice, image, x1 - wide / 2, level, wide, tall, colour)
        return x0, x1 - wide - WIDTH * 0.01
    if roll < 0.31:
        kit.marks.icon(image, WIDTH * dice.uniform(0.87, 0.92), middle, cap)
        return x0, WIDTH * 0.82
    return x0, x1


def _stacked(kit: Kit, image: Image, x: float, middle: float, cap: float, ink: Colour) -> None:
    """Two or three small characters in a column."""
    dice = kit.dice
    font, count = kit.font(*_FONTS), dice.weighted(((2, 4.0), (3, 1.0)))
    pool = DIGITS if dice.chance(0.35) else LETTERS
    step = cap / count
    for i in range(count):
        y = middle + step * (i - (count - 1) / 2)
        kit.row(
            image,
            dice.pick(pool),
            font,
            Place(x - WIDTH * 0.04, x + WIDTH * 0.04, y - step * 0.42, y + step * 0.42),
            ink,
            Setting((0.5, 0.95), emboss=0.3),
        )


def _frame(kit: Kit, image: Image) -> Image:
    """A dealer's frame: around the plate, or over its edges."""
    dice = kit.dice
    colour = jitter(
        dice, dice.pick(((25, 25, 25), (30, 25, 25), (200, 200, 200), (230, 230, 230))), 18
    )
    ink = WHITE if brightness(colour) < 110 else BLACK
    if dice.chance(0.08):
        ink = jitter(dice, dice.pick((RED, GREEN, NAVY)), 20)
    height, width = image.shape[:2]
    if dice.chance(0.6):  # the frame takes room outside the plate and a little of its rim
        top, bottom = (
            round(height * dice.uniform(0.03, 0.14)),
            round(height * dice.uniform(0.04, 0.2)),
        )
        side = round(width * dice.uniform(0.01, 0.035))
        framed = plain(height + top + bottom, width + 2 * side, colour)
        framed[top : top + height, side : side + width] = image
        if dice.chance(0.4):
            lip = max(1, round(height * 0.02))
            rim = jitter(dice, mix(colour, (128, 128, 128), 0.5), 20)
            box(framed, side, top, side + width, top + lip, rim)
    else:
        top, bottom = round(height * dice.uniform(0, 0.12)), round(height * dice.uniform(0, 0.22))
        side = round(width * dice.uniform(0, 0.03))
        framed = image
        framed[:top] = colour
        if bottom:
            framed[-bottom:] = colour
        if side:
            framed[:, :side] = colour
            framed[:, -side:] = colour
        if dice.chance(0.4):  # feet of the frame that cover corners
            reach = width * dice.uniform(0.1, 0.25)
            for left in (True, False):
                x = 0.0 if left else width - 1.0
                tip = x + (reach if left else -reach)
                polygon(framed, [(x, height - bottom - 6), (tip, height), (x, height)], colour)
    full, across = framed.shape[:2]
    if top > 4 and dice.chance(0.6):
        kit.word(framed, "dealer", (across * 0.5, top * 0.5), top * 0.8, ink, across * 0.8)
    if bottom > 4 and dice.chance(0.75):
        kit.word(
            framed, "dealer", (across * 0.5, full - bottom * 0.5), bottom * 0.85, ink, across * 0.85
        )
    return framed


def rear_motorcycle(kit: Kit) -> Drawn:
    """A small US motorcycle plate: one row, large words."""
    state = replace(kit.dice.weighted(_WEIGHTED), scene=("none",), marks=("none",))
    shown = fill(
        kit.dice, kit.dice.pick(("DLDDDD", "DDLDDDD", "LLDDDD", "DDDDLL", "LDDDD", "DDDDD"))
    )
    return _draw(kit, state, shown)
