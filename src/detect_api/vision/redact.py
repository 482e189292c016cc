"""Making plates in a picture unreadable for good.

What lies under a plate is not blurred but replaced, by a soft picture of what lies around it: from
blurred or coarse pixels of many frames a text can be computed again, from what was never put in it
cannot. ``cover`` is a function of the pixels outside of the regions alone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from detect_api.vision.types import Box, Frame, Image

Region = tuple[int, int, int, int]
"""Left, top, right, bottom in whole pixels; right and bottom are outside of it."""

PADDING = 0.3
"""So much of a box's height is added on each side of it, and of its width on its ends a half."""

LEAST_PADDING = 4.0
NEIGHBOURS = 3
"""What is found in one frame is covered in so many frames before and after it, too."""

HOLD_SECONDS = 0.5
"""A track that was read is covered for so long before it was first and after it was last seen."""


@dataclass(frozen=True)
class Course:
    """Where one track was seen: frames in ascending order, and a box for each."""

    frames: Sequence[int]
    boxes: Sequence[Sequence[float]]

    @classmethod
    def from_json(cls, path: dict[str, Any]) -> Course:
        """From what ``wire.path_json`` made."""
        return cls(path["frames"], path["boxes"])

    def at(self, frame: int, hold: int) -> Box | None:
        """Where it was in a frame: up to ``hold`` frames before the first and after the last place
        where that was, between two places all that it may have reached.

        A side that goes its way d between them with any constant acceleration, but never back, is
        at the share s of the time at most d s (1 - s) from where an even speed had taken it.
        """
        if not self.frames or not self.frames[0] - hold <= frame <= self.frames[-1] + hold:
            return None
        after = bisect_right(self.frames, frame)
        if after == 0:
            return Box(*self.boxes[0])
        if after == len(self.frames):
            return Box(*self.boxes[-1])
        first, last = self.frames[after - 1], self.frames[after]
        share = (frame - first) / (last - first)
        pairs = list(zip(self.boxes[after - 1], self.boxes[after], strict=True))
        x1, y1, x2, y2 = ((1 - share) * a + share * b for a, b in pairs)
        left, up, right, down = (share * (1 - share) * abs(b - a) for a, b in pairs)
        return Box(x1 - left, y1 - up, x2 + right, y2 + down)


@dataclass
class Redactor:
    """Covers plates in the frames of a video, which come in order.

    A frame is covered where a plate is suspected in it or in one of its ``NEIGHBOURS``, and where
    the tracks of the job say that one was. Frames come out with a delay: ``finish`` gives the last
    ones. Pictures that come out are copies.
    """

    courses: Sequence[Course]
    hold: int
    _waiting: deque[tuple[int, float, Image, list[Box]]] = field(default_factory=deque)
    _passed: deque[list[Box]] = field(default_factory=lambda: deque(maxlen=NEIGHBOURS))

    def add(self, frame: Frame, suspects: Sequence[Box]) -> Iterator[tuple[float, Image]]:
        """Takes a frame in; gives the time and the picture of those that are ready."""
        picture = np.array(frame.image, copy=True)
        self._waiting.append((frame.number, frame.seconds, picture, list(suspects)))
        if len(self._waiting) > NEIGHBOURS:
            yield self._next()

    def finish(self) -> Iterator[tuple[float, Image]]:
        """The frames that waited for others."""
        while self._waiting:
            yield self._next()

    def _next(self) -> tuple[float, Image]:
        boxes = [box for _, _, _, found in self._waiting for box in found]
        boxes += [box for found in self._passed for box in found]
        number, seconds, picture, own = self._waiting.popleft()
        self._passed.append(own)
        tracked = (course.at(number, self.hold) for course in self.courses)
        boxes += [box for box in tracked if box is not None]
        cover(picture, regions(boxes, picture.shape[1], picture.shape[0]))
        return seconds, picture


def regions(boxes: Iterable[Box], width: int, height: int) -> list[Region]:
    """The boxes with some padding, inside of the picture, none of them touching another one."""
    found: list[Region] = []
    for box in boxes:
        pad_y = max(LEAST_PADDING, PADDING * box.height)
        pad_x = max(LEAST_PADDING, PADDING * box.width / 2)
        region = (
            max(0, int(box.x1 - pad_x)), max(0, int(box.y1 - pad_y)),
            min(width, int(box.x2 + pad_x) + 1), min(height, int(box.y2 + pad_y) + 1),
        )  # fmt: skip
        if region[0] < region[2] and region[1] < region[3]:
            _join(found, region)
    return found


def _join(found: list[Region], region: Region) -> None:
    """Adds a region, made one with all that it touches, and with what that touches then."""
    while touching := [other for other in found if _touch(region, other)]:
        for other in touching:
            found.remove(other)
            region = (
                min(region[0], other[0]), min(region[1], other[1]),
                max(region[2], other[2]), max(region[3], other[3]),
            )  # fmt: skip
    found.append(region)


def _touch(a: Region, b: Region) -> bool:
    """Whether they share pixels or edges: then the edge of one would show the inside of the other.

    One pixel more keeps the pixels from which each is filled out of both.
    """
    return a[0] <= b[2] + 1 and b[0] <= a[2] + 1 and a[1] <= b[3] + 1 and b[1] <= a[3] + 1


def cover(image: Image, found: Sequence[Region]) -> None:
    """Fills regions, none of which touches another one, with what lies around them; in place."""
    for left, top, right, bottom in found:
        image[top:bottom, left:right] = _around(image, left, top, right, bottom)


def _around(image: Image, left: int, top: int, right: int, bottom: int) -> Image:
    """A soft picture between the lines of pixels around a region, as far as there are any."""
    height, width = image.shape[:2]
    down = np.linspace(0, 1, bottom - top, dtype=np.float32)[:, None, None]
    across = np.linspace(0, 1, right - left, dtype=np.float32)[None, :, None]
    upper = _soft(image[top - 1, left:right]) if top else None
    lower = _soft(image[bottom, left:right]) if bottom < height else None
    first = _soft(image[top:bottom, left - 1]) if left else None
    last = _soft(image[top:bottom, right]) if right < width else None
    parts = []
    if upper is not None or lower is not None:
        a, b = (upper if upper is not None else lower), (lower if lower is not None else upper)
        assert a is not None and b is not None
        parts.append((1 - down) * a[None] + down * b[None])
    if first is not None or last is not None:
        a, b = (first if first is not None else last), (last if last is not None else first)
        assert a is not None and b is not None
        parts.append((1 - across) * a[:, None] + across * b[:, None])
    if not parts:
        return np.full((bottom - top, right - left, 3), 128, np.uint8)
    filled: Image = np.clip(sum(parts) / len(parts), 0, 255).astype(np.uint8)
    return filled


def _soft(line: Image) -> NDArray[np.float32]:
    """A line of pixels, blurred over a third of its length."""
    width = max(1, len(line) // 3)
    blurred = cv2.blur(line[None].astype(np.float32), (width, 1), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred[0], np.float32)
