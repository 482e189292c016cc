"""Whole plates with their text, of weighted layouts."""

from dataclasses import dataclass

import numpy as np

from training.synth.canvas import Image
from training.synth.dice import Dice
from training.synth.glyphs import GlyphBank
from training.synth.layouts import (
    brazil,
    britain,
    east_asia,
    europe,
    generic,
    gulf,
    russia,
    south_asia,
    two_row,
    us,
    world,
)
from training.synth.layouts.kit import Kit, Layout
from training.synth.serials import text_of

LAYOUTS: dict[str, tuple[tuple[Layout, float], ...]] = {
    "us": ((us.state_plate, 18.0), (us.any_state_plate, 12.0)),
    "eu": (
        (europe.german, 4.5),
        (europe.slavic, 4.5),
        (europe.austrian, 1.2),
        (europe.romanian, 2.5),
        (europe.hungarian, 2.5),
        (europe.latin, 3.0),
        (europe.dutch, 1.3),
        (europe.nordic, 1.6),
        (europe.any_european, 2.0),
    ),
    "uk": ((britain.british, 4.5), (britain.irish, 1.0)),
    "br": ((brazil.brazil_grey, 8.0), (brazil.mercosur, 3.5), (brazil.argentina_black, 0.7)),
    "south_asia": ((south_asia.india, 4.5), (south_asia.islamabad, 3.0)),
    "gulf": ((gulf.emirate, 2.0), (gulf.saudi, 0.8), (gulf.israeli, 1.8)),
    "russia": ((russia.russian, 1.5),),
    "east_asia": ((east_asia.chinese, 1.2), (east_asia.vietnamese, 1.5)),
    "world": ((world.australian, 2.0), (world.elsewhere, 2.5)),
    "two": ((two_row.two_row, 10.0),),
    "generic": ((generic.generic, 9.0),),
}
"""Layouts by group, each with its weight among all plates."""

SHORTEST, LONGEST = 3, 10


@dataclass(frozen=True)
class Plate:
    """A plate straight from the press; its four corners are the image's corners.

    ``image`` is uint8 height x width x 3 BGR, ``text`` 3 to 10 characters of [A-Z0-9], ``rows`` 1
    or 2, ``layout`` the name of the drawing function.
    """

    image: Image
    text: str
    rows: int
    layout: str


class PlateMaker:
    """Draws plates; the same glyphs and an equal generator give the same plates."""

    def __init__(self, glyphs: GlyphBank, rng: np.random.Generator) -> None:
        self._dice = Dice(rng)
        self._kit = Kit(glyphs, self._dice)
        everything = [entry for group in LAYOUTS.values() for entry in group]
        self._everything = tuple(everything)
        self._choices: dict[str, tuple[tuple[Layout, float], ...]] = {
            **LAYOUTS,
            **{layout.__name__: ((layout, 1.0),) for layout, _ in everything},
        }

    def plate(self, layout: str | None = None) -> Plate:
        """A new plate: of any layout, of a group such as ``us``, or of one layout by name.

        Raises KeyError for a layout that is not there.
        """
        choices = self._everything if layout is None else self._choices[layout]
        while True:
            draw = self._dice.weighted(choices)
            drawn = draw(self._kit)
            text = text_of(drawn.shown)
            if SHORTEST <= len(text) <= LONGEST:
                return Plate(drawn.image, text, drawn.rows, draw.__name__)
