"""Serial numbers from patterns, with more than their share of the characters that get confused.

In a pattern L is a letter, l a letter without I, O and Q, D a digit, X either; everything else
stands for itself. A blank is a gap, ``~`` a place for a seal or picture, ``-`` and ``.`` are drawn.
"""

from training.synth.dice import Dice
from training.synth.words import spaced

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
PLAIN_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
DIGITS = "0123456789"
_HARD_LETTERS = "ODQODQIBSZGWMVUNHWMVUNHTYKJLCDPRF"
_HARD_PLAIN = "DBSZGWMVUNHWMVUNHTYKJLCDPRF"
_HARD_DIGITS = "00081865245147"
SEPARATORS = " ~-."
HARD_SHARE = 0.3
"""Share of serials in which confusable characters are over-represented."""


def fill(dice: Dice, pattern: str) -> str:
    """A serial with its separators, for example ``AB 123~CD``."""
    hard = dice.chance(HARD_SHARE)
    pools = {
        "L": (LETTERS, _HARD_LETTERS),
        "l": (PLAIN_LETTERS, _HARD_PLAIN),
        "D": (DIGITS, _HARD_DIGITS),
        "X": (LETTERS + DIGITS, _HARD_LETTERS + _HARD_DIGITS),
    }
    filled = []
    for symbol in pattern:
        pool = pools.get(symbol)
        if pool is None:
            filled.append(symbol)
        else:
            filled.append(dice.pick(pool[1] if hard and dice.chance(0.55) else pool[0]))
    return "".join(filled)


def text_of(shown: str) -> str:
    """The serial without separators."""
    return "".join(c for c in shown if c not in SEPARATORS)


_SYLLABLES = spaced(
    "BA BE BI BO DA DE DO FA FI GA GO HO JA JO KA KI LA LE LI LO LU MA ME MI MO NA NE NO PA PE RA "
    "RE RI RO SA SE SI SO TA TE TI TO VA WA WI YO ZA OO EE CK ST NG NT RD MY BY DR MR XX GR8 4U 2U "
    "UR LUV FUN FAST HOT MOM DAD CAT DOG JET SKI BUG ZEN VET NO1 4X4 OH AH HI IM UM MUM WOW VIV NUN"
)


def vanity(dice: Dice) -> str:
    """A word-like text of 3 to 8 characters, as people choose them."""
    length = dice.weighted(((3, 0.6), (4, 1.2), (5, 1.6), (6, 2.2), (7, 2.6), (8, 0.4)))
    if dice.chance(0.2):
        return fill(dice, "X" * length)
    text = ""
    while len(text) < length:
        text += dice.pick(_SYLLABLES) if dice.chance(0.8) else dice.pick(LETTERS)
    text = text[:length]
    if length >= 5 and dice.chance(0.35):
        at = dice.between(2, length - 2)
        text = text[:at] + dice.pick("  -") + text[at:]
    return text
