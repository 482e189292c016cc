"""From FFmpeg's decoded picture to BGR bytes in a shared slot."""

from __future__ import annotations

import struct
from mmap import mmap
from typing import Any

from av.sidedata.sidedata import Type
from av.video.reformatter import VideoReformatter

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


class Painter:
    """Writes pictures into the slots of a shared memory, one after the other.

    All pictures get the size of the first of the video, ``width`` x ``height`` as stored.
    """

    def __init__(self, memory: mmap, width: int, height: int) -> None:
        self._memory = memoryview(memory)
        self._width, self._height = width, height
        self._size = width * height * 3
        self._reformatter = VideoReformatter()

    def paint(self, frame: Any, slot: int) -> None:
        """Converts ``frame`` to BGR, without padding between rows."""
        shown = self._reformatter.reformat(
            frame, width=self._width, height=self._height, format="bgr24", threads=1
        )
        plane = shown.planes[0]
        pixels = memoryview(plane)
        row, stride, start = self._width * 3, plane.line_size, slot * self._size
        if stride == row:
            self._memory[start : start + self._size] = pixels[: self._size]
            return
        for line in range(self._height):
            self._memory[start + line * row : start + (line + 1) * row] = pixels[
                line * stride : line * stride + row
            ]
