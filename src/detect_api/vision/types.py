"""The values that pass from one stage of reading plates to the next.

All coordinates are pixels of the upright frame (after the container's rotation has been
applied), x to the right, y down, origin at the top left corner of the top left pixel.
All images are ``uint8`` arrays of shape (height, width, 3) in BGR order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from detect_api.core.errors import VideoError

Image = NDArray[np.uint8]
"""uint8, shape (height, width, 3), BGR."""

Point = tuple[float, float]
"""(x, y) in pixels of the upright frame."""


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned rectangle, x1 < x2 and y1 < y2."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def width(self) -> float:
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        return self.y2 - self.y1

    @property
    def center(self) -> Point:
        return (self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What the container says about the video stream that is read.

    ``width`` and ``height`` are those of the upright frame. ``rotation`` is how many degrees
    clockwise the stored picture has been turned to be upright: 0, 90, 180 or 270. ``fps`` is the
    average over the whole video (frames / duration), exact to float precision; nominal where
    there is one frame only. ``total_frames`` counts the frames in presentation order.
    """

    container: str
    codec: str
    width: int
    height: int
    rotation: int
    fps: float
    duration_seconds: float
    total_frames: int
    problems: tuple[str, ...] = ()
    """Sentences about damage found, such as "truncated after 12.4 s; 372 frames were read"."""
    truncated: bool = False
    """Whether the file ends before the end that it promises."""


@dataclass(frozen=True, slots=True)
class SegmentPlan:
    """One unit of work: the frames ``first_frame`` … ``end_frame - 1`` in presentation order.

    A segment starts at a keyframe. ``cursor`` is what the decoder needs to find that place again
    (JSON values only); nobody but ``decode.py`` looks inside.
    """

    index: int
    first_frame: int
    end_frame: int
    start_seconds: float
    end_seconds: float
    cursor: dict[str, Any]

    @property
    def frames(self) -> int:
        return self.end_frame - self.first_frame


@dataclass(frozen=True, slots=True)
class Frame:
    """One upright picture of the video.

    ``number`` counts from 0 over the whole video in presentation order; ``seconds`` is the
    container's own presentation time. ``shrunk`` is the same picture in the size in which plates
    are looked for, if that has been made already. Both may be overwritten once the next frame is
    asked for: copy what is to be kept.
    """

    number: int
    seconds: float
    image: Image
    shrunk: Image | None = None

    @property
    def width(self) -> int:
        return int(self.image.shape[1])

    @property
    def height(self) -> int:
        return int(self.image.shape[0])

    @property
    def small(self) -> Image:
        return self.image if self.shrunk is None else self.shrunk

    def part(self, left: int, top: int, right: int, bottom: int) -> Image:
        """A part of the picture, a view; ``right`` and ``bottom`` are outside of it."""
        return self.image[top:bottom, left:right]


class AnyFrame(Protocol):
    """What finding and reading plates needs of a frame: it may be there in parts only.

    ``width`` and ``height`` are those of the full upright picture. ``small`` is all of it, in the
    size in which plates are looked for. ``part`` gives a part in full size, which must lie inside.
    All pictures may be overwritten once the next frame is asked for.
    """

    @property
    def number(self) -> int: ...

    @property
    def seconds(self) -> float: ...

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...

    @property
    def small(self) -> Image: ...

    def part(self, left: int, top: int, right: int, bottom: int) -> Image: ...


@dataclass(frozen=True, slots=True)
class Detection:
    """A plate found in one frame. ``corners`` run clockwise from the top left of the plate."""

    box: Box
    corners: tuple[Point, Point, Point, Point]
    confidence: float


@dataclass(frozen=True, slots=True)
class CharacterScores:
    """What one character may be: (character, probability) pairs, best first, each of [A-Z0-9].

    The probabilities sum to at most 1; the rest belongs to characters that were cut off.
    """

    scores: tuple[tuple[str, float], ...]

    @property
    def best(self) -> tuple[str, float]:
        return self.scores[0]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text that the plate may bear, with the probability that it does."""

    text: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Reading:
    """The text of one plate in one frame, [A-Z0-9] only.

    ``confidence`` is the probability that the whole text is right, seen from this frame alone.
    ``candidates`` are the likeliest texts, ``text`` first. An empty text means that the reader is
    sure: what stands there is no plate.
    """

    text: str
    confidence: float
    characters: tuple[CharacterScores, ...]
    candidates: tuple[Candidate, ...] = ()


PASSED_OVER = "passed_over"
"""Why an observation has no reading: others show more, so it was not given to the reader."""

TOO_SMALL = "too_small"
"""It was not given to the reader, whatever the others show: nothing would come of it."""

NO_TEXT = "no_text"
"""No text came out."""

NO_PLATE = "no_plate"
"""The reader is sure that it shows no plate."""


@dataclass(frozen=True, slots=True)
class Observation:
    """A plate seen in one frame: where, how sharp, and what was read (if anything).

    ``sharpness`` is comparable between observations of one video only. Where ``reading`` is None
    ``reason`` says why: PASSED_OVER, TOO_SMALL, NO_TEXT or NO_PLATE.
    """

    frame: int
    seconds: float
    box: Box
    corners: tuple[Point, Point, Point, Point]
    detection_confidence: float
    sharpness: float
    reading: Reading | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class SegmentResult:
    """All that one segment yields. Depends on video bytes, parameters and models only.

    ``processed_frames`` counts the frames that were looked at (after ``frame_skip``),
    ``frames_with_detections`` those with at least one observation. ``missing_frames`` counts
    frames that the plan promised and the decoder could not deliver. ``width`` and ``height`` are
    the frames' size in pixels, 0 if no frame came.
    """

    processed_frames: int
    frames_with_detections: int
    observations: tuple[Observation, ...]
    missing_frames: int = 0
    problems: tuple[str, ...] = ()
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True)
class Moment:
    """A frame and its presentation time in seconds."""

    frame: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Place:
    """Where a plate was seen in one frame."""

    frame: int
    seconds: float
    box: Box


@dataclass(slots=True)
class Path:
    """Where one plate was, in order of frames, each frame once at most.

    ``thinned``: it was seen in more frames than are kept; in between it was near the straight
    line from one place to the next. Otherwise every frame in which it was seen is here.
    """

    places: list[Place] = field(default_factory=list)
    thinned: bool = False


@dataclass(frozen=True, slots=True)
class Plate:
    """One pass of one vehicle, decided by all its observations.

    ``characters`` holds (character, confidence) for each character of ``text``. ``best`` is the
    observation whose picture proves the text. ``direction`` is the mean motion of the plate in
    the picture: ``up``, ``down``, ``left``, ``right`` or None when it stands.
    """

    track_id: int
    text: str
    confidence: float
    candidates: tuple[Candidate, ...]
    characters: tuple[tuple[str, float], ...]
    first_seen: Moment
    last_seen: Moment
    observations: int
    best: Observation
    direction: str | None = None
    path: Path = field(default_factory=Path)


@dataclass(frozen=True, slots=True)
class UnreadTrack:
    """A plate that was seen and not read, and why: ``too_small``, ``blurred``, ``no_agreement``."""

    track_id: int
    first_seen: Moment
    last_seen: Moment
    observations: int
    reason: str
    best: Observation
    path: Path = field(default_factory=Path)


@dataclass(frozen=True, slots=True)
class Parameters:
    """What the client may choose about a job.

    All three frame parameters count frames of the whole video, from 0. ``frame_skip`` n looks at
    the frames whose number is a multiple of n, from ``start_frame`` on and before ``end_frame``.
    ``min_confidence`` is the least confidence of a plate's text.
    """

    frame_skip: int = 1
    start_frame: int | None = None
    end_frame: int | None = None
    min_confidence: float | None = None
    region: str | None = None

    def wanted(self, first_frame: int, end_frame: int) -> range:
        """The numbers of the frames looked at among ``first_frame`` … ``end_frame - 1``."""
        first = max(first_frame, self.start_frame or 0)
        end = end_frame if self.end_frame is None else min(end_frame, self.end_frame)
        first += -first % self.frame_skip
        return range(first, max(first, end), self.frame_skip)

    def require(self, total_frames: int) -> range:
        """The frames looked at in a video of so many. Raises VideoError if there is none."""
        wanted = self.wanted(0, total_frames)
        if not wanted:
            raise VideoError(
                f"The video has {total_frames} frames, numbered from 0, and none of them is "
                f"chosen by start_frame {self.start_frame or 0}, end_frame "
                f"{total_frames if self.end_frame is None else self.end_frame} and frame_skip "
                f"{self.frame_skip}.",
                code="frame_range",
            )
        return wanted


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model file that took part, pinned by its digest.

    ``precision`` is that of the arithmetic: ``f32``, ``bf16`` or ``int8``. Another one gives
    slightly other numbers.
    """

    name: str
    sha256: str
    precision: str = "f32"


@dataclass(slots=True)
class Merged:
    """What a merge step decided: the tracks that can no longer change, in order of track id."""

    plates: list[Plate] = field(default_factory=list)
    unread: list[UnreadTrack] = field(default_factory=list)
