"""Delivering the wanted frames of one segment."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from detect_api.vision.child.count import Times
from detect_api.vision.child.demux import Packet, Video

REORDERING = 20
"""Decoders hold back at most 16 pictures (H.264 A.3.1, H.265 A.4.2): whatever is shown before a
picture has been read so many packets after it."""

_RANKED = 4096


class Playback:
    """The frames of one segment, with number and time in seconds, as its cursor describes it."""

    def __init__(
        self, video: Video, cursor: dict[str, Any], first: int, end: int, *,
        alive: Callable[[], None],
    ) -> None:  # fmt: skip
        self._video = video
        self._alive = alive
        self._cursor = cursor
        self._first, self._end = first, end
        self._until = math.inf if cursor.get("until") is None else cursor["until"]
        self._keys: list[int] = []
        self._rank = first

    def __iter__(self) -> Iterator[tuple[int, float, Any]]:
        if self._cursor["by"] == "image":
            return ((0, 0.0, frame) for frame in self._video.pictures(self._video.packets()))
        if self._cursor["by"] == "time":
            return self._by_time()
        return self._by_count()

    def wanted(self, numbers: Sequence[int]) -> Iterator[tuple[int, float, Any]]:
        """Those of the frames whose numbers, ascending, are asked for; stops after the last."""
        places = iter(numbers)
        place = next(places, None)
        if place is None:
            return
        for number, seconds, frame in self:
            self._alive()
            while place < number:
                place = next(places, None)
                if place is None:
                    return
            if number == place:
                yield number, seconds, frame
                place = next(places, None)
                if place is None:
                    return

    def _by_time(self) -> Iterator[tuple[int, float, Any]]:
        start, until = self._cursor["from"], self._until
        packets = self._video.from_anchor(self._cursor["anchor"])
        for frame in self._video.pictures(self._ranked(packets)):
            pts = frame.opaque.pts
            if pts >= until:
                return
            if pts < start or not frame.opaque.shown:
                continue
            place = bisect_left(self._keys, pts)
            yield self._rank + place, self._video.seconds(pts), frame
            if place > _RANKED:
                # Frames come in order, so nothing before this one will be ranked again.
                del self._keys[:place]
                self._rank += place

    def _ranked(self, packets: Iterator[Packet]) -> Iterator[Packet]:
        """The packets, each when the times of all frames shown before it are in ``_keys``."""
        start, until = self._cursor["from"], self._until
        ahead: deque[Packet] = deque()
        for packet in packets:
            pts = packet.mark.pts
            if packet.mark.shown and pts is not None and start <= pts < until:
                insort(self._keys, pts)
            ahead.append(packet)
            if len(ahead) > REORDERING:
                yield ahead.popleft()
        yield from ahead

    def _by_count(self) -> Iterator[tuple[int, float, Any]]:
        anchor = self._cursor["anchor"]
        times = Times.unfold(self._cursor["times"])
        number = self._first
        for frame in self._video.pictures(self._video.from_anchor(anchor)):
            at_start = anchor is None or frame.opaque.ordinal == anchor["ordinal"]
            if number == self._first and not at_start:
                continue
            if number >= self._end:
                return
            yield number, self._video.seconds(next(times)), frame
            number += 1
