"""What every layout is drawn with."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from training.synth.canvas import Colour, Image, word
from training.synth.dice import Dice
from training.synth.glyphs import Font, GlyphBank
from training.synth.lettering import Place, Row, Setting, set_row
from training.synth.marks import Marks

_FIELD = 320


@dataclass(frozen=True)
class Drawn:
    """A finished plate: its image, the shown serial with separators, one or two rows."""

    image: Image
    shown: str
    rows: int = 1


class Kit:
    """Fonts, chance, marks and smooth noise, made once and shared by all plates."""

    def __init__(self, bank: GlyphBank, dice: Dice) -> None:
        self.bank = bank
        self.dice = dice
        self.marks = Marks(bank, dice)
        self._fields = tuple(
            np.asarray(
                cv2.resize(
                    dice.rng.normal(0, 1, (cells, cells)).astype(np.float32),
                    (_FIELD, _FIELD),
                    interpolation=cv2.INTER_CUBIC,
                ),
                np.float32,
            )
            for cells in (4, 6, 9, 14, 24, 50)
        )

    def field(self, height: int, width: int) -> npt.NDArray[np.float32]:
        """Smooth noise of this size (at most 320 x 320), about normal with unit variance."""
        noise = self.dice.pick(self._fields)
        y, x = self.dice.below(_FIELD - height + 1), self.dice.below(_FIELD - width + 1)
        return noise[y : y + height, x : x + width]

    def word(
        self,
        image: Image,
        kind: str,
        at: tuple[float, float],
        height: float,
        colour: Colour,
        max_width: float,
        opacity: float = 1.0,
    ) -> None:
        """A small word of this kind centred at ``at``."""
        word(self.bank, self.dice, image, kind, at[0], at[1], height, colour, max_width, opacity)

    def font(self, *choices: tuple[str, float]) -> Font:
        """A font by weighted tags."""
        return self.bank.pick(self.dice, *choices)

    def row(
        self,
        image: Image,
        shown: str,
        font: Font,
        place: Place,
        ink: Colour,
        setting: Setting,
        marks: tuple[tuple[str, float], ...] = (),
    ) -> Row:
        """Sets a row and draws one kind of mark, by weight, at its ``~`` breaks."""
        row = set_row(self.dice, image, shown, font, place, ink, setting)
        if marks and row.breaks:
            kind = self.dice.weighted(marks)
            height, middle = place.y1 - place.y0, (place.y0 + place.y1) / 2
            for break_kind, x in row.breaks:
                if break_kind == "~":
                    self.marks.draw(kind, image, x, middle, height, ink)
        return row


Layout = Callable[[Kit], Drawn]
