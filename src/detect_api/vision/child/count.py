"""Counting frames by decoding them, where packets do not tell."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from itertools import chain, islice, pairwise
from typing import Any

from detect_api.vision.child.beginning import WINDOW
from detect_api.vision.child.demux import Mark, Packet, Video
from detect_api.vision.child.summary import Summary


class Shown:
    """Frames in the order in which the decoder gives them, each with its presentation time.

    AVI has no presentation times and gets them made up, it may be in the order of the file; then
    the k-th frame shown gets the k-th of them. Frames that have none lie ``step`` apart.
    """

    def __init__(self, video: Video, step: int) -> None:
        self._video = video
        self._step = step
        self._waiting: list[int] = []
        self._sorted = False
        self.first_frame: Any = None
        self.clean: dict[int, dict[str, Any]] = {}
        """Anchors of the keyframes met so far at which a segment may begin, by ordinal."""

    def frames(self, packets: Iterator[Packet]) -> Iterator[tuple[Mark, int, int]]:
        """Mark, time and duration of each frame; ``first_frame`` is the first of them."""
        pictures = self._video.pictures(self._noted(packets))
        told = ((frame.opaque, frame.pts, frame.duration) for frame in self._first_of(pictures))
        head = list(islice(told, WINDOW))
        times = [pts for _, pts, _ in head if pts is not None]
        self._sorted = self._video.form == "avi" and any(b <= a for a, b in pairwise(times))
        # Frames before the first one that has a time lie before it.
        untimed = next((n for n, (_, pts, _) in enumerate(head) if pts is not None), len(head))
        time = (times[0] if times else 0) - (untimed + 1) * self._step
        for mark, pts, duration in chain(head, told):
            if self._sorted and self._waiting:
                time = heapq.heappop(self._waiting)
            else:
                time = time + self._step if pts is None else pts
            yield mark, time, duration

    def _first_of(self, pictures: Iterator[Any]) -> Iterator[Any]:
        for frame in pictures:
            self.first_frame = self.first_frame or frame
            yield frame

    def _noted(self, packets: Iterator[Packet]) -> Iterator[Packet]:
        for packet in packets:
            self._video.structure.passed(packet.av.pos or 0)
            if self._video.clean(packet):
                self.clean[packet.mark.ordinal] = packet.anchor()
            if self._video.form == "avi" and packet.mark.pts is not None:
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
    shown = Shown(video, step)
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
