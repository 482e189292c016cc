"""Plates of Australia, New Zealand, Africa, Latin America and South East Asia."""

from dataclasses import dataclass

from training.synth.canvas import BLACK, RED, WHITE, YELLOW, Colour, border, jitter, sheet
from training.synth.layouts.kit import Drawn, Kit
from training.synth.lettering import Place, Setting
from training.synth.serials import fill, text_of

WIDTH = 230
Dress = tuple[Colour, Colour]
_NAVY: Colour = (120, 55, 20)
_MAROON: Colour = (60, 30, 110)
_GREEN: Colour = (60, 110, 40)
_ORANGE: Colour = (40, 90, 200)
_PLAIN: Dress = (WHITE, BLACK)


@dataclass(frozen=True)
class Issue:
    """Patterns, dresses (ground and ink) and width : height of one country's plates."""

    patterns: tuple[str, ...]
    dresses: tuple[Dress, ...] = (_PLAIN,)
    aspect: tuple[float, float] = (2.8, 3.4)
    weight: float = 1.0


_AUSTRALIA = (
    Issue(("LLL.DDL", "LL.DD.LL", "LLL-DDD", "LLL DDL", "LL-DD-LL", "LLL-DDL"),
          ((YELLOW, BLACK), (YELLOW, BLACK), (WHITE, _NAVY), (BLACK, WHITE)), weight=3),
    Issue(("DLL.DLL", "LLL.DDD", "LLL-DDD", "DLL-DLL"), ((WHITE, _NAVY), _PLAIN, (_NAVY, WHITE))),
    Issue(("DDD.LLL", "DDD.LLD", "DDD LLD", "DDD-LLL"), ((WHITE, _MAROON), (WHITE, _GREEN))),
    Issue(("LDDD-LLL", "LDDD LLL", "DLLL.DDD", "DLLL DDD", "LLL DDD", "L.DD.LL")),
    Issue(("LLLDDD", "LLL DDD", "LLDDDD", "LL DDDD"), weight=1.5),
)  # fmt: skip
_ELSEWHERE = (
    Issue(("LLL-DD-DD", "LLL-DD-DDD", "LLL-DDD-L", "DDD-LLL", "LLL DDD", "L-DD-LLL"),
          (_PLAIN, (WHITE, (60, 90, 30)), (WHITE, RED)), (1.9, 2.2), 2),  # Mexico
    Issue(("LLL DDD", "LLL-DDD", "LLLDDD", "LLL~DDD"), ((YELLOW, BLACK), _PLAIN), (1.9, 2.3), 1.5),
    Issue(("LLLL-DD", "LL-LL-DD", "LL.LL.DD", "LL~DDDD"), aspect=(2.5, 3.2)),  # Chile
    Issue(("LLL-DDDD", "LLL-DDD", "LDL-DDD", "LLL DDDD"), (_PLAIN, (WHITE, _ORANGE)), (1.9, 2.4)),
    Issue(("LL DD LL LL", "LLL DDD LL", "DDD LLL LL", "LL DDDDD"), aspect=(3.5, 4.6)),
    Issue(("LLL DDDL", "LLL DDD L", "LLL-DDDLL", "LLL DDD LL", "LL DDDD-DD", "LLL-DDDD"),
          (_PLAIN, (YELLOW, BLACK), (WHITE, _NAVY)), (1.9, 4.6), 1.5),  # Kenya, Nigeria, Ghana
    Issue(("LLL DDDD", "LL DDDDD", "LLL DDD", "LLL-DDDD", "LL-DDDD"),
          (_PLAIN, (WHITE, (60, 110, 30)), (BLACK, WHITE), (YELLOW, BLACK)), (1.9, 4.4), 1.5),
    Issue(("L DDDD LL", "L DDDD LLL", "LL DDDD LL", "L DDD LLL"),
          ((BLACK, WHITE), _PLAIN, (YELLOW, BLACK), (RED, WHITE)), (2.6, 3.4), 1.2),  # Indonesia
    Issue(("LLL DDDD", "LL DDDD", "LLL DDDD L", "L DDDD", "LLL DDDL", "SLL DDDDL", "SLLDDDDL"),
          ((BLACK, WHITE), (BLACK, WHITE), _PLAIN, (YELLOW, BLACK)), (3.4, 5.0), 1.2),  # MY, SG
    Issue(("DD LL DDDD", "DD L DDDD", "DD LLL DD", "DD LLL DDD", "DD LL DDD"), aspect=(4.2, 5.0),
          weight=1.5),  # Turkey
    Issue(("HB DDDD", "DDD-DDD", "LLL-DDD", "L DDDDDD", "LDDDDDD", "P DDDLLL", "DDDDDD"),
          (_PLAIN, (WHITE, _NAVY), (WHITE, RED)), (1.9, 2.2)),  # Central America
)  # fmt: skip
_FONTS = (("din", 0.3), ("stroke", 0.35), ("plain", 0.1), ("any", 0.25))


def australian(kit: Kit) -> Drawn:
    """Australia and New Zealand: the state's letters stacked at the left, or its slogan."""
    issue = kit.dice.weighted(tuple((issue, issue.weight) for issue in _AUSTRALIA))
    return _draw(kit, issue, stacked=0.35)


def elsewhere(kit: Kit) -> Drawn:
    """Latin America, Africa, South East Asia, Turkey."""
    issue = kit.dice.weighted(tuple((issue, issue.weight) for issue in _ELSEWHERE))
    return _draw(kit, issue, stacked=0.06)


def _draw(kit: Kit, issue: Issue, stacked: float) -> Drawn:
    dice = kit.dice
    shown = fill(dice, dice.pick(issue.patterns))
    ground, ink = dice.pick(issue.dresses)
    height = round(WIDTH / dice.uniform(*issue.aspect))
    image = sheet(dice, height, WIDTH, jitter(dice, ground, 16), 0.25)
    ink = jitter(dice, ink, 15)
    border(dice, image, ink, 0.65)
    if dice.chance(0.4):
        kit.marks.bolts(image, 3)
    x0, top, bottom = WIDTH * 0.04, height * 0.1, height * 0.9
    if dice.chance(stacked):
        letters = dice.pick(("NSW", "VIC", "QLD", "SA", "WA", "TAS", "ACT", "NT"))
        font, x = kit.font(("plain", 1.0)), WIDTH * 0.05
        for i, letter in enumerate(letters):
            y = height * (0.25 + 0.5 * i / (len(letters) - 1))
            half = height * 0.08
            kit.row(image, letter, font, Place(x - 6, x + 6, y - half, y + half), ink,
                    Setting(emboss=0.1))  # fmt: skip
        x0 = WIDTH * 0.09
    tall = WIDTH / height < 3.2
    if dice.chance(0.75 if tall else 0.3):
        at = (WIDTH * dice.uniform(0.45, 0.55), height * dice.uniform(0.85, 0.91))
        kit.word(image, "place", at, height * dice.uniform(0.09, 0.15), ink, WIDTH * 0.7)
        bottom = height * 0.77
    if tall and dice.chance(0.45):
        at = (WIDTH * dice.uniform(0.45, 0.55), height * dice.uniform(0.1, 0.15))
        kit.word(
            image, dice.pick(("place", "state", "slogan")), at, height * 0.12, ink, WIDTH * 0.6
        )
        top = height * 0.24
    if dice.chance(0.2):
        kit.marks.label(image, WIDTH * 0.94, height * 0.14, WIDTH * 0.04, height * 0.09)
    cap = min((bottom - top) * dice.uniform(0.85, 1.0), (WIDTH - x0) / len(text_of(shown)) * 2.5)
    middle = (top + bottom) / 2
    kit.row(
        image,
        shown,
        kit.font(*_FONTS),
        Place(x0, WIDTH * 0.96, middle - cap / 2, middle + cap / 2),
        ink,
        Setting((0.82, 1.0), (0.55, 1.4), 0.5, 0.5, (0.05, 0.18)),
        (("dot", 1), ("emblem", 1), ("none", 1), ("shield", 1)),
    )
    return Drawn(image, shown)
