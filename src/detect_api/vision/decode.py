"""Videos and pictures as frames with exact numbers and times.

``scan`` finds out what a file is and cuts it into segments; ``frames`` delivers frames of one
segment. Both leave demuxing and decoding to a child process (``sandbox.py``). The number of a
frame, its time and its pixels do not depend on how the video was cut.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from detect_api.core.config import Settings
from detect_api.core.errors import VideoError
from detect_api.storage.reader import ByteSource
from detect_api.vision.sandbox import Sandbox
from detect_api.vision.types import Frame, Image, SegmentPlan, VideoInfo

SLOTS = 4
"""So many pictures may lie between decoder and reader."""

_MOST = 2**53
_MOST_PROBLEMS = 100
_LONGEST_TEXT = 300


@dataclass(frozen=True)
class DecodeLimits:
    """What one decoding child may use.

    ``memory_bytes`` is its address space, ``stall_seconds`` how long it may say nothing while
    it is waited for, ``cpu_seconds`` its computing time, ``threads`` its decoding threads.
    """

    max_pixels: int = 8192 * 4352
    max_duration_seconds: float = 24 * 3600.0
    memory_bytes: int = 3 * 1024**3
    stall_seconds: float = 60.0
    cpu_seconds: int = 12 * 3600
    threads: int = 1

    @classmethod
    def from_settings(cls, settings: Settings) -> DecodeLimits:
        return cls(
            max_pixels=settings.max_pixels,
            max_duration_seconds=settings.max_duration_seconds,
            memory_bytes=settings.decode_memory_bytes,
            stall_seconds=settings.decode_stall_seconds,
        )


def scan(
    source: ByteSource, limits: DecodeLimits, segment_seconds: float, *, images: bool = False
) -> Generator[VideoInfo | SegmentPlan]:
    """What the video is, its segments as they are found, and what it is again, now exact.

    The first VideoInfo estimates ``total_frames``, ``fps`` and ``duration_seconds``. Segments
    start at keyframes and are at least ``segment_seconds`` long but for the last. With
    ``images`` the file must be a JPEG, PNG, WebP or BMP picture and is a video of one frame;
    without, pictures are refused. Closing the generator ends the scan at once.

    Raises VideoError, and whatever ``source`` raises.
    """
    _refuse_empty(source)
    job = _job(source, limits, images=images) | {
        "segment_seconds": segment_seconds,
        "max_duration_seconds": limits.max_duration_seconds,
    }
    with (
        Sandbox(source, job, stall_seconds=limits.stall_seconds) as sandbox,
        closing(sandbox.messages()) as messages,
    ):
        for message in messages:
            if "info" in message:
                yield _info(message["info"], limits)
            elif "segment" in message:
                yield _plan(message)


def frames(
    source: ByteSource,
    plan: SegmentPlan,
    numbers: Sequence[int],
    info: VideoInfo,
    limits: DecodeLimits,
) -> FrameReader:
    """The frames of ``plan`` with these ``numbers``, which must ascend and lie in the segment.

    ``info`` is what ``scan`` said. See FrameReader.
    """
    return FrameReader(source, plan, numbers, info, limits)


class FrameReader(Iterator[Frame]):
    """Iterates over the wanted frames of a segment in order; close it, or use ``with``.

    Frames that cannot be decoded are left out: ``missing`` counts them and ``problems`` tells
    them in sentences, both once iteration has ended. All frames have the size that ``info``
    gives: a picture that is stored in another size further on is scaled. ``Frame.image`` is
    valid until the next frame is asked for.

    Iterating raises VideoError, and whatever ``source`` raises.
    """

    def __init__(
        self,
        source: ByteSource,
        plan: SegmentPlan,
        numbers: Sequence[int],
        info: VideoInfo,
        limits: DecodeLimits,
    ) -> None:
        if numbers and not plan.first_frame <= numbers[0] <= numbers[-1] < plan.end_frame:
            raise ValueError("frames lie outside of the segment")
        self.problems: list[str] = []
        self.missing = 0
        self._numbers = numbers
        self._frames = self._read(source, plan, info, limits)

    def __next__(self) -> Frame:
        return next(self._frames)

    def __enter__(self) -> FrameReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends decoding at once."""
        self._frames.close()

    def _read(
        self, source: ByteSource, plan: SegmentPlan, info: VideoInfo, limits: DecodeLimits
    ) -> Generator[Frame]:
        _refuse_empty(source)
        turned = info.rotation % 180 != 0
        width, height = (info.height, info.width) if turned else (info.width, info.height)
        size = width * height * 3
        numbers = self._numbers
        job = _job(source, limits, images=plan.cursor.get("by") == "image") | {
            "cursor": plan.cursor, "first": plan.first_frame, "end": plan.end_frame,
            "width": width, "height": height, "slots": SLOTS,
        }  # fmt: skip
        if isinstance(numbers, range):
            job["range"] = [numbers.start, numbers.stop, numbers.step]
        else:
            job["numbers"] = list(numbers)
        delivered = 0
        with (
            Sandbox(
                source, job, memory_bytes=SLOTS * size, stall_seconds=limits.stall_seconds
            ) as sandbox,
            closing(sandbox.messages()) as messages,
        ):
            assert sandbox.memory is not None
            memory = np.frombuffer(sandbox.memory, np.uint8).reshape(SLOTS, height, width, 3)
            try:
                for message in messages:
                    if "frame" not in message:
                        self._sum_up(delivered)
                        return
                    number, seconds, slot, turn = _frame(message, plan)
                    yield Frame(number, seconds, _upright(memory[slot], turn))
                    delivered += 1
                    sandbox.free_slot()
            finally:
                del memory  # an error's traceback would keep it as long as the error lives

    def _sum_up(self, delivered: int) -> None:
        self.missing = len(self._numbers) - delivered
        if self.missing:
            self.problems.append(f"{self.missing} frames could not be decoded")


def _refuse_empty(source: ByteSource) -> None:
    if source.size == 0:
        raise VideoError("the file is empty", code="empty_file")


def _job(source: ByteSource, limits: DecodeLimits, *, images: bool) -> dict[str, Any]:
    return {
        "size": source.size, "images": images, "max_pixels": limits.max_pixels,
        "memory_bytes": limits.memory_bytes, "cpu_seconds": limits.cpu_seconds,
        "threads": limits.threads,
    }  # fmt: skip


def _upright(image: Image, turn: Sequence[bool]) -> Image:
    """The picture as it is to be shown; a copy if it had to be turned."""
    transposed, mirrored, upside_down = turn
    if transposed:
        image = cv2.transpose(image)  # type: ignore[assignment]
    if mirrored or upside_down:
        image = cv2.flip(image, -1 if mirrored and upside_down else int(mirrored))  # type: ignore[assignment]
    return image


# What the child says may be what the video made it say: every value is checked.


def _nonsense() -> VideoError:
    return VideoError("the decoder answered nonsense", code="decoder_crashed")


def _whole(value: object, most: int) -> int:
    if not isinstance(value, int) or not 0 <= value <= most:
        raise _nonsense()
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise _nonsense()
    return float(value)


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > _MOST_PROBLEMS:
        raise _nonsense()
    return tuple(str(text)[:_LONGEST_TEXT] for text in value)


def _info(said: dict[str, Any], limits: DecodeLimits) -> VideoInfo:
    try:
        width, height = _whole(said["width"], _MOST), _whole(said["height"], _MOST)
        rotation = _whole(said["rotation"], 270)
        if not 0 < width * height <= limits.max_pixels or rotation % 90:
            raise _nonsense()
        return VideoInfo(
            container=str(said["container"])[:_LONGEST_TEXT],
            codec=str(said["codec"])[:_LONGEST_TEXT],
            width=width,
            height=height,
            rotation=rotation,
            fps=_number(said["fps"]),
            duration_seconds=_number(said["duration_seconds"]),
            total_frames=_whole(said["total_frames"], _MOST),
            problems=_texts(said["problems"]),
            truncated=said["truncated"] is True,
        )
    except (KeyError, TypeError):
        raise _nonsense() from None


def _plan(said: dict[str, Any]) -> SegmentPlan:
    try:
        first, end = _whole(said["first"], _MOST), _whole(said["end"], _MOST)
        if first >= end or not isinstance(said["cursor"], dict):
            raise _nonsense()
        return SegmentPlan(
            index=_whole(said["segment"], _MOST),
            first_frame=first,
            end_frame=end,
            start_seconds=_number(said["start_seconds"]),
            end_seconds=_number(said["end_seconds"]),
            cursor=said["cursor"],
        )
    except KeyError:
        raise _nonsense() from None


def _frame(said: dict[str, Any], plan: SegmentPlan) -> tuple[int, float, int, list[bool]]:
    try:
        number = _whole(said["frame"], plan.end_frame - 1)
        turn = said["turn"]
        if number < plan.first_frame or not isinstance(turn, list) or len(turn) != 3:
            raise _nonsense()
        return number, _number(said["seconds"]), _whole(said["slot"], SLOTS - 1), turn
    except KeyError:
        raise _nonsense() from None
