"""Centre lines of the 36 characters, in the variants that plate works use.

Coordinates run over the unit box (x right, y down); a third number scales the rounding of that
corner, 0 keeps it sharp.
"""

from dataclasses import dataclass

from training.synth.dice import Dice

Point = tuple[float, float] | tuple[float, float, float]


@dataclass(frozen=True)
class Stroke:
    """One movement of the pen."""

    points: tuple[Point, ...]
    closed: bool = False


Glyph = tuple[list[Stroke], float]
"""Strokes, and the width relative to the font's normal width."""


def _open(*points: Point) -> Stroke:
    return Stroke(points)


def _ring(*points: Point) -> Stroke:
    return Stroke(points, closed=True)


def skeletons(dice: Dice, family: str) -> dict[str, Glyph]:
    """The 36 glyphs of a new font of this family."""
    waist = dice.uniform(0.45, 0.52)
    hook = dice.uniform(0.15, 0.30)
    glyphs = _straight_letters(dice, family, waist)
    glyphs.update(_round_letters(dice, waist, hook))
    glyphs.update(_digits(dice, family, waist, hook))
    _zero_and_o(dice, family, glyphs)
    return glyphs


def _straight_letters(dice: Dice, family: str, waist: float) -> dict[str, Glyph]:
    wide = 1.0 if family == "us" else dice.uniform(1.0, 1.15)
    arm = dice.uniform(0.78, 0.95)
    letters: dict[str, Glyph] = {
        "E": (
            [
                _open((1, 0), (0, 0, 0), (0, 1, 0), (1, 1)),
                _open((0, waist), (arm, waist)),
            ],
            dice.uniform(0.85, 1.0),
        ),
        "F": (
            [_open((1, 0), (0, 0, 0), (0, 1)), _open((0, waist), (arm, waist))],
            dice.uniform(0.85, 1.0),
        ),
        "H": ([_open((0, 0), (0, 1)), _open((1, 0), (1, 1)), _open((0, waist), (1, waist))], 1.0),
        "L": ([_open((0, 0), (0, 1, 0), (1, 1))], dice.uniform(0.8, 1.0)),
        "N": ([_open((0, 1), (0, 0, 0), (1, 1, 0), (1, 0))], wide),
        "T": ([_open((0, 0), (1, 0)), _open((0.5, 0), (0.5, 1))], dice.uniform(0.9, 1.05)),
        "X": ([_open((0, 0), (1, 1)), _open((1, 0), (0, 1))], wide),
        "Z": ([_open((0, 0), (1, 0, 0), (0, 1, 0), (1, 1))], 1.0),
    }
    letters["A"] = (
        dice.pick(
            (
                [_open((0, 1), (0.5, 0, 0.1), (1, 1)), _open((0.18, 0.68), (0.82, 0.68))],
                [
                    _open((0, 1), (0.38, 0, 0.15), (0.62, 0, 0.15), (1, 1)),
                    _open((0.15, 0.7), (0.85, 0.7)),
                ],
                [
                    _open((0, 1), (0, 0.42, 0.4), (0.5, -0.06, 0.25), (1, 0.42, 0.4), (1, 1)),
                    _open((0, 0.64), (1, 0.64)),
                ],
            )
            if family in {"free", "us"}
            else ([_open((0, 1), (0.5, 0, 0.05), (1, 1)), _open((0.18, 0.7), (0.82, 0.7))],)
        ),
        wide,
    )
    serif_i = dice.chance({"us": 0.45, "fe": 0.9, "din": 0.15}.get(family, 0.3))
    letters["I"] = (
        [_open((0.5, 0), (0.5, 1)), _open((0, 0), (1, 0)), _open((0, 1), (1, 1))]
        if serif_i
        else [_open((0.5, 0), (0.5, 1))],
        dice.uniform(0.45, 0.7) if serif_i else 0.1,
    )
    letters["K"] = (
        dice.pick(
            (
                [_open((0, 0), (0, 1)), _open((1, 0), (0, 0.6)), _open((0.35, 0.4), (1, 1))],
                [
                    _open((0, 0), (0, 1)),
                    _open((1, 0), (0.22, 0.5, 0), (1, 1)),
                    _open((0, 0.5), (0.22, 0.5)),
                ],
            )
        ),
        wide,
    )
    dip = dice.pick((dice.uniform(0.35, 0.6), dice.uniform(0.6, 1.0)))
    letters["M"] = ([_open((0, 1), (0, 0, 0), (0.5, dip, 0.05), (1, 0, 0), (1, 1))], wide * 1.12)
    letters["V"] = (
        [_open((0, 0), (0.5, 1, 0.05), (1, 0))]
        if dice.chance(0.6)
        else [_open((0, 0), (0.4, 1, 0.15), (0.6, 1, 0.15), (1, 0))],
        wide,
    )
    rise = dice.uniform(0.15, 0.55)
    letters["W"] = (
        dice.weighted(
            (
                (
                    [_open((0, 0), (0.25, 1, 0.05), (0.5, rise, 0.05), (0.75, 1, 0.05), (1, 0))],
                    0.6,
                ),
                (
                    [
                        _open(
                            (0, 0), (0, 1, 0.05), (0.5, max(rise, 0.3), 0.05), (1, 1, 0.05), (1, 0)
                        )
                    ],
                    0.3,
                ),
                (
                    [
                        _open((0, 0), (0, 1, 0.5), (0.5, 1, 0.5), (0.5, rise)),
                        _open((0.5, 0.9), (0.55, 1, 0.4), (1, 1, 0.5), (1, 0)),
                    ],
                    0.1,
                ),
            )
        ),
        wide * dice.uniform(1.1, 1.4),
    )
    letters["Y"] = (
        dice.pick(
            (
                [_open((0, 0), (0.5, 0.54, 0.05), (1, 0)), _open((0.5, 0.54), (0.5, 1))],
                [
                    _open((0, 0), (0, 0.45, 0.7), (0.5, 0.56, 0.3), (1, 0.45, 0.7), (1, 0)),
                    _open((0.5, 0.54), (0.5, 1)),
                ],
            )
            if family in {"us", "free"}
            else ([_open((0, 0), (0.5, 0.54, 0.05), (1, 0)), _open((0.5, 0.54), (0.5, 1))],)
        ),
        wide,
    )
    return letters


def _round_letters(dice: Dice, waist: float, hook: float) -> dict[str, Glyph]:
    bar = dice.uniform(0.5, 0.6)
    upper = dice.uniform(0.90, 1.0)
    letters: dict[str, Glyph] = {
        "B": (
            [
                _open((0, 0, 0), (0, 1, 0), (1, 1), (1, waist), (0, waist, 0)),
                _open((0, 0, 0), (upper, 0), (upper, waist), (0, waist)),
            ],
            1.0,
        ),
        "C": ([_open((1, hook), (1, 0), (0, 0), (0, 1), (1, 1), (1, 1 - hook))], 1.0),
        "D": ([_ring((0, 0, 0), (1, 0), (1, 1), (0, 1, 0))], 1.0),
        "P": ([_open((0, 1), (0, 0, 0), (1, 0), (1, 0.56), (0, 0.56))], 1.0),
        "S": (
            [
                _open(
                    (1, hook * 0.9),
                    (1, 0),
                    (0, 0),
                    (0, waist),
                    (1, waist),
                    (1, 1),
                    (0, 1),
                    (0, 1 - hook * 0.9),
                )
            ],
            1.0,
        ),
        "U": ([_open((0, 0), (0, 1), (1, 1), (1, 0))], 1.0),
    }
    letters["G"] = (
        dice.pick(
            (
                [_open((1, hook), (1, 0), (0, 0), (0, 1), (1, 1), (1, bar, 0), (0.5, bar))],
                [
                    _open((1, hook), (1, 0), (0, 0), (0, 1), (1, 1), (1, bar, 0), (0.6, bar)),
                    _open((1, bar), (1, 1)),
                ],
                [_open((1, hook), (1, 0), (0, 0), (0, 1), (1, 1), (1, bar, 0), (0.72, bar))],
            )
        ),
        1.0,
    )
    tail = dice.uniform(0.65, 0.8)
    letters["J"] = (
        [_open((1, 0), (1, 1), (0, 1), (0, tail))]
        + ([_open((0.45, 0), (1, 0))] if dice.chance(0.3) else []),
        dice.uniform(0.8, 1.0),
    )
    letters["R"] = (
        [
            _open((0, 1), (0, 0, 0), (1, 0), (1, 0.54), (0, 0.54)),
            dice.pick(
                (
                    _open((0.5, 0.54), (1, 1)),
                    _open((0.4, 0.54), (1, 0.56, 0.6), (1, 1)),
                    _open((0.3, 0.54), (1, 1)),
                )
            ),
        ],
        1.0,
    )
    return letters


def _digits(dice: Dice, family: str, waist: float, hook: float) -> dict[str, Glyph]:
    flag = dice.uniform(0.1, 0.3)
    serif_one = dice.chance({"us": 0.5, "fe": 0.3}.get(family, 0.2))
    if dice.chance(0.75):
        one = [_open((0, flag), (0.55, 0, 0), (0.55, 1))]
        one_width = 0.5
    else:
        one, one_width = [_open((0.5, 0), (0.5, 1))], 0.12
    if serif_one:
        one.append(_open((0.05, 1), (1, 1)))
        one_width = dice.uniform(0.55, 0.75)
    six = dice.pick(
        (
            [_open((1, hook * 0.9), (1, 0), (0, 0), (0, 1), (1, 1), (1, 0.43), (0, 0.43))],
            [_open((0.8, 0), (0, 0.45, 0.8), (0, 1), (1, 1), (1, 0.42), (0, 0.42), (0, 0.7))],
            [_open((0.9, 0.02), (0, 0, 1.2), (0, 1), (1, 1), (1, 0.4), (0, 0.4), (0, 0.7))],
        )
    )
    nine = [
        Stroke(tuple((1 - p[0], 1 - p[1], p[2] if len(p) > 2 else 1.0) for p in s.points))
        for s in six
    ]
    foot = dice.uniform(0.4, 0.48)
    digits: dict[str, Glyph] = {
        "1": (one, one_width),
        "2": (
            [_open((0, hook), (0, 0), (1, 0), (1, foot, 0.7), (0, 1, 0), (1, 1))]
            if dice.chance(0.7)
            else [_open((0, hook), (0, 0), (1, 0), (1, waist), (0, waist), (0, 1, 0), (1, 1))],
            1.0,
        ),
        "3": (_three(dice, waist, hook), 1.0),
        "4": (_four(dice), dice.uniform(1.0, 1.12)),
        "5": (
            [
                _open(
                    (0.95, 0),
                    (0.04, 0, 0),
                    (0.02, waist * 0.9, 0),
                    (1, waist * 0.84),
                    (1, 1),
                    (0, 1),
                    (0, 1 - hook),
                )
            ],
            1.0,
        ),
        "6": (six, 1.0),
        "7": (
            dice.pick(
                (
                    [_open((0, 0), (1, 0, 0), (0.35, 1))],
                    [_open((0, 0), (1, 0, 0.1), (1, 0.25, 0.5), (0.4, 0.6, 0.6), (0.35, 1))],
                    [_open((0, 0.12), (0, 0, 0), (1, 0, 0), (0.3, 1))],
                )
            ),
            dice.uniform(0.9, 1.0),
        ),
        "8": (
            [
                _ring((0.05, 0), (0.95, 0), (0.95, waist), (0.05, waist)),
                _ring((0, waist), (1, waist), (1, 1), (0, 1)),
            ],
            1.0,
        ),
        "9": (nine, 1.0),
    }
    return digits


def _three(dice: Dice, waist: float, hook: float) -> list[Stroke]:
    if dice.chance(0.25):  # flat top
        return [_open((0, 0), (1, 0, 0), (0.4, 0.4, 0), (1, 0.4), (1, 1), (0, 1), (0, 1 - hook))]
    return [
        _open((0, hook * 0.9), (0, 0), (1, 0), (1, waist), (0.35, waist)),
        _open((0.35, waist), (1, waist), (1, 1), (0, 1), (0, 1 - hook * 0.9)),
    ]


def _four(dice: Dice) -> list[Stroke]:
    return dice.pick(
        (
            [_open((0.75, 1), (0.75, 0, 0), (0, 0.72, 0), (1, 0.72))],
            [_open((0.62, 0), (0, 0.72, 0.05), (1, 0.72)), _open((0.74, 0.45), (0.74, 1))],
            # open at the top, as on many US dies
            [_open((0, 0), (0, 0.58, 0.2), (1, 0.58)), _open((0.85, 0), (0.85, 1))],
            [_open((0.3, 0), (0, 0.66, 0), (1, 0.66)), _open((0.78, 0.3), (0.78, 1))],
        )
    )


def _zero_and_o(dice: Dice, family: str, glyphs: dict[str, Glyph]) -> None:
    ring = _ring((0, 0), (1, 0), (1, 1), (0, 1))
    same = dice.chance({"us": 0.45, "mandatory": 0.6}.get(family, 0.3))
    zero = [ring]
    if family == "fe" or dice.chance(0.13):
        zero = [
            ring,
            dice.pick((_open((0.15, 0.85), (0.85, 0.15)), _open((0.3, 0.7), (0.7, 0.3)))),
        ]
    glyphs["0"] = (zero, 1.0 if same else dice.uniform(0.82, 0.98))
    glyphs["O"] = ([ring], 1.0 if same else dice.uniform(1.0, 1.12))
    glyphs["Q"] = (
        [
            ring,
            dice.pick((_open((0.55, 0.7), (1.05, 1.05)), _open((0.5, 0.85), (0.95, 1.1)))),
        ],
        glyphs["O"][1],
    )
