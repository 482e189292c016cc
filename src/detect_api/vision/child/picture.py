"""From FFmpeg's decoded picture to bytes in a shared slot."""

from __future__ import annotations

import struct
from mmap import mmap
from typing import Any

from av.sidedata.sidedata import Type
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from detect_api.vision.colour import LAYOUTS, PRIMARIES, plane_sizes

_FULL_RANGE = 2
_RGB = 0
_MATRIX = struct.Struct("=9i")


def orientation(frame: Any) -> tuple[bool, bool, bool]:
    """How the stored picture becomes upright: transpose, then mirror left-right, top-bottom.

    Read from the display matrix (ISO/IEC 14496-12 8.3.2) that belongs to the frame, which maps
    stored to shown coordinates; turns other than by right angles are taken as the nearest one.
    """
    try:
        data = frame.side_data.get(Type.DISPLAYMATRIX)
    except ValueError:  # PyAV does not know some other side data (EXIF) that the frame has
        return {1: (True, False, True), 2: (False, True, True), 3: (True, True, False)}.get(
            round(frame.rotation / 90) % 4, (False, False, False)
        )
    if data is None or data.buffer_size < _MATRIX.size:
        return False, False, False
    a, b, _, c, d, *_ = _MATRIX.unpack_from(memoryview(data))
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return False, a < 0, d < 0
    return True, c < 0, b < 0


def rotation(transposed: bool, mirrored: bool, upside_down: bool) -> int:
    """The turn in an orientation, in degrees clockwise."""
    if transposed:
        return 270 if upside_down and not mirrored else 90
    return 180 if mirrored and upside_down else 0


def _bgr(
    reformatter: VideoReformatter, frame: Any, size: tuple[int, int], way: Interpolation
) -> Any:
    known = frame.colorspace == _RGB or frame.colorspace in PRIMARIES
    return reformatter.reformat(
        frame, width=size[0], height=size[1], format="bgr24", interpolation=way, threads=1,
        # The scaler refuses the others. Colours are off then, and what is written can be read.
        src_colorspace=None if known else Colorspace.ITU601,
    )  # fmt: skip


class Painter:
    """Writes pictures into the slots of a shared memory, one after the other.

    All pictures get the size of the first of the video, ``width`` x ``height`` as stored.
    """

    def __init__(self, memory: mmap, slot_bytes: int, width: int, height: int) -> None:
        self._memory = memoryview(memory)
        self._slot_bytes = slot_bytes
        self._width, self._height = width, height
        self._reformatter = VideoReformatter()

    def paint(self, frame: Any, slot: int) -> dict[str, Any]:
        """Converts ``frame`` to BGR. Returns what the service has to know about the slot."""
        self._write_bgr(frame, slot * self._slot_bytes)
        return {}

    def _write_bgr(self, frame: Any, start: int) -> None:
        shown = _bgr(self._reformatter, frame, (self._width, self._height), Interpolation.BILINEAR)
        self._write(shown.planes[0], self._width * 3, self._height, start)

    def _write(self, plane: Any, row: int, rows: int, start: int) -> None:
        """Copies a plane's ``rows`` of ``row`` bytes each, without the padding between them."""
        pixels, stride = memoryview(plane), plane.line_size
        if stride == row:
            self._memory[start : start + row * rows] = pixels[: row * rows]
            return
        for line in range(rows):
            self._memory[start + line * row : start + (line + 1) * row] = pixels[
                line * stride : line * stride + row
            ]


class LeanPainter(Painter):
    """Writes a small BGR picture and behind it the decoder's planes, or else the whole in BGR."""

    def __init__(
        self, memory: mmap, slot_bytes: int, width: int, height: int, small: tuple[int, int]
    ) -> None:
        super().__init__(memory, slot_bytes, width, height)
        self._small = small
        self._shrinker = VideoReformatter()

    def paint(self, frame: Any, slot: int) -> dict[str, Any]:
        start = slot * self._slot_bytes
        width, height = self._small
        # As the detector was trained: each pixel is the mean of those it stands for.
        shrunk = _bgr(self._shrinker, frame, self._small, Interpolation.AREA)
        self._write(shrunk.planes[0], width * 3, height, start)
        start += width * height * 3
        name = frame.format.name
        layout, matrix = name.replace("yuvj", "yuv"), int(frame.colorspace)
        same_size = (frame.width, frame.height) == (self._width, self._height)
        if layout not in LAYOUTS or matrix not in PRIMARIES or not same_size:
            self._write_bgr(frame, start)
            return {"layout": "bgr"}
        sizes = plane_sizes(layout, self._width, self._height)
        for plane, (columns, rows) in zip(frame.planes, sizes, strict=True):
            self._write(plane, columns, rows, start)
            start += columns * rows
        full = name != layout or int(frame.color_range) == _FULL_RANGE
        return {"layout": layout, "matrix": matrix, "full": full}
