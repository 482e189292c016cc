"""What lies in a slot of the memory shared with the decoding child, as frames.

What the child says may be what the video made it say: ``frame`` raises KeyError, TypeError or
ValueError for what cannot be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from detect_api.vision.colour import LAYOUTS, PRIMARIES
from detect_api.vision.lean import LeanFrame, Planes, Turn, detection_size
from detect_api.vision.types import AnyFrame, Frame

F_co = TypeVar("F_co", covariant=True)

Bytes = NDArray[np.uint8]
"""uint8, one dimension: the bytes of one slot."""


class Slots(Protocol[F_co]):
    """How pictures, ``width`` x ``height`` as stored, lie in slots of ``size`` bytes.

    ``small`` is the size of the small picture that comes first, if there is one; the child takes
    all this from its job.
    """

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...

    @property
    def size(self) -> int: ...

    @property
    def small(self) -> tuple[int, int] | None: ...

    def frame(self, said: dict[str, Any], number: int, seconds: float, slot: Bytes) -> F_co:
        """The frame that the child described so and left in ``slot``."""
        ...


@dataclass(frozen=True)
class FullSlots:
    """BGR pictures, ``width`` x ``height`` as stored."""

    width: int
    height: int

    @property
    def size(self) -> int:
        return self.width * self.height * 3

    @property
    def small(self) -> None:
        return None

    def frame(self, said: dict[str, Any], number: int, seconds: float, slot: Bytes) -> Frame:
        stored = slot.reshape(self.height, self.width, 3)
        return Frame(number, seconds, _turn(said).upright(stored))


@dataclass(frozen=True)
class LeanSlots:
    """A small BGR picture, and behind it the decoder's planes or else the full picture in BGR."""

    width: int
    height: int

    @property
    def size(self) -> int:
        return self._small_bytes + self.width * self.height * 3

    @property
    def small(self) -> tuple[int, int]:
        return detection_size(self.width, self.height)

    @property
    def _small_bytes(self) -> int:
        columns, rows = self.small
        return columns * rows * 3

    def frame(self, said: dict[str, Any], number: int, seconds: float, slot: Bytes) -> AnyFrame:
        turn, layout = _turn(said), said["layout"]
        columns, rows = self.small
        small = turn.upright(slot[: self._small_bytes].reshape(rows, columns, 3))
        rest = slot[self._small_bytes :]
        width, height = self.width, self.height
        if layout == "bgr":
            full = turn.upright(rest.reshape(height, width, 3))
            return Frame(number, seconds, full, small)
        if layout not in LAYOUTS or said["matrix"] not in PRIMARIES:
            raise ValueError("no layout")
        planes = Planes.of(
            rest, layout, width, height, matrix=said["matrix"], full=said["full"] is True
        )
        if turn.transposed:
            width, height = height, width
        return LeanFrame(number, seconds, width, height, small, planes, turn)


def _turn(said: dict[str, Any]) -> Turn:
    transposed, mirrored, upside_down = said["turn"]
    return Turn(transposed is True, mirrored is True, upside_down is True)
