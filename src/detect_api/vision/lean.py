"""Frames of which only the parts that are looked at become BGR.

The decoding child leaves a small picture for the detector and the decoder's own planes. Most
frames show no plate, and of the others a hundredth of the pixels is read: converting and copying
whole frames would cost as much as finding the plates in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from detect_api.vision.colour import LAYOUTS, PRIMARIES, plane_sizes
from detect_api.vision.types import Image

Plane = NDArray[np.uint8]
"""uint8, shape (rows, columns)."""

SMALLEST, LARGEST, SHRINKING = 640, 1280, 3.0
"""The detector's picture is at least and at most so many pixels long, and in between shrunk by
this factor: a plate of 60 pixels, which is about what can be read, is 20 pixels wide in it."""


def detection_size(width: int, height: int) -> tuple[int, int]:
    """The size of the picture in which the plates of a frame of this size are looked for."""
    longest = max(width, height)
    side = min(longest, max(SMALLEST, min(LARGEST, round(longest / SHRINKING))))
    return max(1, round(width * side / longest)), max(1, round(height * side / longest))


@dataclass(frozen=True, slots=True)
class Turn:
    """How a stored picture becomes upright: transposed, then mirrored, then put upside down."""

    transposed: bool = False
    mirrored: bool = False
    upside_down: bool = False

    def upright(self, image: Image) -> Image:
        """The picture as it is to be shown; a copy if it had to be turned."""
        if self.transposed:
            image = cast(Image, cv2.transpose(image))
        if self.mirrored or self.upside_down:
            both = self.mirrored and self.upside_down
            image = cast(Image, cv2.flip(image, -1 if both else int(self.mirrored)))
        return image

    def stored(self, part: Part, width: int, height: int) -> Part:
        """Where a part of the upright picture, which is width x height, lies in the stored one."""
        left, top, right, bottom = part
        if self.mirrored:
            left, right = width - right, width - left
        if self.upside_down:
            top, bottom = height - bottom, height - top
        return (top, left, bottom, right) if self.transposed else (left, top, right, bottom)


Part = tuple[int, int, int, int]
"""left, top, right, bottom in whole pixels; right and bottom are outside."""


@dataclass(frozen=True, slots=True)
class Planes:
    """A stored picture in its decoder's layout: luma and the two colour planes.

    ``matrix`` is the number of its matrix coefficients (``PRIMARIES``), ``full`` whether its
    values use all of 0 … 255.
    """

    layout: str
    matrix: int
    full: bool
    planes: tuple[Plane, Plane, Plane]

    @classmethod
    def of(
        cls, memory: Plane, layout: str, width: int, height: int, *, matrix: int, full: bool
    ) -> Planes:
        """The picture that lies in ``memory`` (flat), plane after plane without padding."""
        planes, start = [], 0
        for columns, rows in plane_sizes(layout, width, height):
            planes.append(memory[start : start + columns * rows].reshape(rows, columns))
            start += columns * rows
        luma, blue, red = planes
        return cls(layout, matrix, full, (luma, blue, red))

    def part(self, part: Part) -> Image:
        """A part of the stored picture, which must lie inside, as BGR."""
        across, down = LAYOUTS[self.layout]
        left, top, right, bottom = part
        # Whole colour pixels first, then the part that was asked for.
        first, above = left >> across << across, top >> down << down
        columns, rows = right - first, bottom - above
        luma, *colours = self.planes
        whole = np.empty((rows, columns, 3), np.uint8)
        whole[..., 0] = luma[above:bottom, first:right]
        for channel, plane in enumerate(colours, 1):
            small = plane[above >> down : -(-bottom >> down), first >> across : -(-right >> across)]
            wide = small.repeat(1 << across, axis=1).repeat(1 << down, axis=0)
            whole[..., channel] = wide[:rows, :columns]
        image = cv2.transform(whole, _to_bgr(self.matrix, full=self.full))
        return cast(Image, image[top - above :, left - first :])


def _to_bgr(matrix: int, *, full: bool) -> NDArray[np.float32]:
    """The affine map (3 x 4) from Y'CbCr in 8 bits to B'G'R' (ITU-T H.273, equations 34 to 43)."""
    kr, kb = PRIMARIES[matrix]
    kg = 1 - kr - kb
    blue, red = 2 * (1 - kb), 2 * (1 - kr)
    mixed = np.array(
        [[1, blue, 0], [1, -blue * kb / kg, -red * kr / kg], [1, 0, red]], dtype=np.float64
    )
    scale = np.array([1, 1, 1]) if full else np.array([255 / 219, 255 / 224, 255 / 224])
    zero = np.array([0 if full else 16, 128, 128])
    mixed *= scale
    return np.column_stack([mixed, -mixed @ zero]).astype(np.float32)


@dataclass(frozen=True, slots=True)
class LeanFrame:
    """One upright picture of the video: small as a whole, full size in parts.

    ``number``, ``seconds`` as for Frame; ``width`` and ``height`` are those of the full picture.
    ``small`` is BGR. All of it may be overwritten once the next frame is asked for.
    """

    number: int
    seconds: float
    width: int
    height: int
    small: Image
    planes: Planes
    turn: Turn

    def part(self, left: int, top: int, right: int, bottom: int) -> Image:
        """A part of the full picture, which must lie inside; ``right``, ``bottom`` are outside."""
        wanted = self.turn.stored((left, top, right, bottom), self.width, self.height)
        return self.turn.upright(self.planes.part(wanted))
