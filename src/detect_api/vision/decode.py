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

import numpy as np
from numpy.typing import NDArray

from detect_api.core.config import Settings
from detect_api.core.errors import VideoError
from detect_api.storage.reader import ByteSource
from detect_api.vision.lean import detection_size
from detect_api.vision.sandbox import Sandbox
from detect_api.vision.slots import F_co, FullSlots, LeanSlots, Slots
from detect_api.vision.types import AnyFrame, Frame, SegmentPlan, VideoInfo

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
) -> FrameReader[Frame]:
    """The frames of ``plan`` with these ``numbers``, which must ascend and lie in the segment.

    ``info`` is what ``scan`` said. See FrameReader.
    """
    return FrameReader(source, plan, numbers, FullSlots(*_stored_size(info)), limits)


def lean_frames(
    source: ByteSource,
    plan: SegmentPlan,
    numbers: Sequence[int],
    info: VideoInfo,
    limits: DecodeLimits,
) -> FrameReader[AnyFrame]:
    """The same frames, at less cost, for finding and reading plates in them.

    The small picture is made by the decoder's scaler; of the full one only those parts become
    BGR that are asked for. Where that would save nothing they are full frames.
    """
    size = _stored_size(info)
    if detection_size(*size) == size or plan.cursor.get("by") == "image":
        return frames(source, plan, numbers, info, limits)
    return FrameReader(source, plan, numbers, LeanSlots(*size), limits)


def _stored_size(info: VideoInfo) -> tuple[int, int]:
    return (info.height, info.width) if info.rotation % 180 else (info.width, info.height)


class FrameReader(Iterator[F_co]):
    """Iterates over the wanted frames of a segment in order; close it, or use ``with``.

    Frames that cannot be decoded are left out: ``missing`` counts them and ``problems`` tells
    them in sentences, both once iteration has ended. All frames have the size that ``info``
    gives: a picture that is stored in another size further on is scaled. A frame's pictures are
    valid until the next frame is asked for.

    Iterating raises VideoError, and whatever ``source`` raises.
    """

    def __init__(
        self,
        source: ByteSource,
        plan: SegmentPlan,
        numbers: Sequence[int],
        slots: Slots[F_co],
        limits: DecodeLimits,
    ) -> None:
        if numbers and not plan.first_frame <= numbers[0] <= numbers[-1] < plan.end_frame:
            raise ValueError("frames lie outside of the segment")
        self.problems: list[str] = []
        self.missing = 0
        self._numbers = numbers
        self._frames = self._read(source, plan, slots, limits)

    def __next__(self) -> F_co:
        return next(self._frames)

    def __enter__(self) -> FrameReader[F_co]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends decoding at once."""
        self._frames.close()

    def _read(
        self, source: ByteSource, plan: SegmentPlan, slots: Slots[F_co], limits: DecodeLimits
    ) -> Generator[F_co]:
        _refuse_empty(source)
        numbers = self._numbers
        job = _job(source, limits, images=plan.cursor.get("by") == "image") | {
            "cursor": plan.cursor, "first": plan.first_frame, "end": plan.end_frame,
            "width": slots.width, "height": slots.height, "small": slots.small,
            "slots": SLOTS, "slot_bytes": slots.size,
        }  # fmt: skip
        if isinstance(numbers, range):
            job["range"] = [numbers.start, numbers.stop, numbers.step]
        else:
            job["numbers"] = list(numbers)
        delivered = 0
        with (
            Sandbox(
                source, job, memory_bytes=SLOTS * slots.size, stall_seconds=limits.stall_seconds
            ) as sandbox,
            closing(sandbox.messages()) as messages,
        ):
            assert sandbox.memory is not None
            memory = np.frombuffer(sandbox.memory, np.uint8).reshape(SLOTS, slots.size)
            try:
                for message in messages:
                    if "frame" not in message:
                        self._sum_up(delivered)
                        return
                    yield _frame(message, plan, slots, memory)
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


def _frame(
    said: dict[str, Any], plan: SegmentPlan, slots: Slots[F_co], memory: NDArray[np.uint8]
) -> F_co:
    try:
        number = _whole(said["frame"], plan.end_frame - 1)
        if number < plan.first_frame:
            raise _nonsense()
        slot = memory[_whole(said["slot"], SLOTS - 1)]
        return slots.frame(said, number, _number(said["seconds"]), slot)
    except (KeyError, TypeError, ValueError):
        raise _nonsense() from None
