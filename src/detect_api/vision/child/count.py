"""Counting frames by decoding them, where packets do not tell."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Any

from detect_api.vision.child.demux import Mark, Packet, Video
from detect_api.vision.child.summary import Summary

_MOST_UNTIMED = 1000


class Shown:
    """Frames in the order in which the decoder gives them, each with its presentation time.

    A container without presentation times (AVI) gets them made up in the order of the file; then
    (``in_order`` false) the k-th frame shown gets the k-th of them. Frames that have none lie
    ``step`` apart.
    """

    def __init__(self, video: Video, step: int, *, in_order: bool) -> None:
        self._video = video
        self._step = step
        self.first_frame: Any = None
        self._in_order = in_order
        self._waiting: list[int] = []
        self.clean: dict[int, dict[str, Any]] = {}
        """Anchors of the keyframes met so far at which a segment may begin, by ordinal."""

    def frames(self, packets: Iterator[Packet]) -> Iterator[tuple[Mark, int, int]]:
        """Mark, time and duration of each frame; ``first_frame`` is the first of them."""
        untimed: list[Mark] = []
        time: int | None = None
        for frame in self._video.pictures(self._noted(packets)):
            self.first_frame = self.first_frame or frame
            told = frame.pts
            if not self._in_order and self._waiting:
                told = heapq.heappop(self._waiting)
            if told is None and time is None and len(untimed) < _MOST_UNTIMED:
                untimed.append(frame.opaque)
                continue
            if told is None:
                told = self._step if time is None else time + self._step
            time = told
            yield from self._before(untimed, time)
            untimed.clear()
            yield frame.opaque, time, frame.duration
        yield from self._before(untimed, 0)

    def _before(self, untimed: list[Mark], time: int) -> Iterator[tuple[Mark, int, int]]:
        """Frames without a time, as far before ``time`` as there are of them."""
        for index, mark in enumerate(untimed):
            yield mark, time - (len(untimed) - index) * self._step, self._step

    def _noted(self, packets: Iterator[Packet]) -> Iterator[Packet]:
        for packet in packets:
            self._video.structure.passed(packet.av.pos or 0)
            if self._video.clean(packet):
                self.clean[packet.mark.ordinal] = packet.anchor()
            if not self._in_order and packet.mark.pts is not None:
                heapq.heappush(self._waiting, packet.mark.pts)
            yield packet


class Times:
    """Presentation times as runs of equal steps: [first, step, how often, step, how often …]."""

    def __init__(self) -> None:
        self.runs: list[int] = []
        self._last = 0

    def add(self, time: int) -> None:
        if not self.runs:
            self.runs = [time]
        elif len(self.runs) > 1 and self.runs[-2] == time - self._last:
            self.runs[-1] += 1
        else:
            self.runs += [time - self._last, 1]
        self._last = time

    @staticmethod
    def unfold(runs: list[int]) -> Iterator[int]:
        """The times that were added."""
        time = runs[0]
        yield time
        for step, often in zip(runs[1::2], runs[2::2], strict=True):
            for _ in range(often):
                time += step
                yield time


def count(
    video: Video,
    summary: Summary,
    anchor: dict[str, Any] | None,
    first: int,
    *,
    segment_seconds: float,
    in_order: bool,
    alive: Callable[[], None],
) -> Iterator[dict[str, Any]]:
    """Decodes from ``anchor``, whose frame has number ``first``, to the end and yields segments.

    A segment's frames are those from the frame of its first packet to that of the next
    segment's, in the order in which the decoder gives them.
    """
    rate = video.stream.average_rate or video.stream.guessed_rate or 25
    step = max(1, round(1 / rate / video.time_base))
    video.reopen()
    packets = video.from_anchor(anchor)
    shown = Shown(video, step, in_order=in_order)
    number, times = first, Times()
    for mark, time, duration in shown.frames(packets):
        alive()
        if anchor is not None and number == first and mark.ordinal != anchor["ordinal"]:
            continue  # shown before the segment, if at all
        yield from summary.announce(shown.first_frame)
        next_anchor = shown.clean.pop(mark.ordinal, None)
        long_enough = (number - first) / rate >= segment_seconds or (
            times.runs and (time - times.runs[0]) * video.time_base >= segment_seconds
        )
        if next_anchor is not None and number > first and long_enough:
            cursor = {"by": "count", "anchor": anchor, "times": times.runs}
            yield summary.segment(first, number, times.runs[0], time, cursor)
            anchor, first, times = next_anchor, number, Times()
        times.add(time)
        summary.packet(time, duration)
        number += 1
    summary.settle(number, None)
    if number > first:
        cursor = {"by": "count", "anchor": anchor, "times": times.runs}
        yield summary.segment(first, number, times.runs[0], summary.end, cursor)
