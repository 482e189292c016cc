"""Cutting a video into segments by its packets.

The number of a frame is the rank of its packet's presentation time among all packets that show
a picture. That this holds is checked on the beginning of the video, which is decoded; where it
does not hold, or no times are there, the rest of the video is counted by decoding it.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from detect_api.vision.child.beginning import WINDOW, Beginning, Irregular
from detect_api.vision.child.count import count
from detect_api.vision.child.demux import Packet, Video
from detect_api.vision.child.summary import Summary

_SPARSE_CODECS = frozenset({"h264", "hevc"})
_STREAMS = frozenset({"mpegts", "mpeg"})
_HEAD_OF_KEYFRAME = 16 * 1024


class Order:
    """Checks that presentation times come almost in order, each once."""

    def __init__(self) -> None:
        self._recent: list[int] = []
        self.earliest: int | None = None
        self.latest: int | None = None

    def add(self, pts: int) -> None:
        """Raises Irregular for a time that cannot be ranked among the others."""
        recent = self._recent
        place = bisect_right(recent, pts)
        if (place and recent[place - 1] == pts) or (not place and len(recent) == WINDOW):
            raise Irregular("times repeat or run backwards")
        insort(recent, pts)
        if len(recent) > WINDOW:
            del recent[0]
        self.earliest = pts if self.earliest is None else min(self.earliest, pts)
        self.latest = pts if self.latest is None else max(self.latest, pts)


@dataclass
class Cut:
    """A keyframe at which a segment may begin, until all that is shown before it is known.

    ``before`` counts the frames that precede it in the file, ``leading`` those that follow it
    there but are shown before it; ``latest`` is the latest time before it in the file.
    """

    anchor: dict[str, Any]
    before: int
    latest: int
    leading: int = 0
    since: int = 0


class Scan:
    """One pass over the packets. Iterating yields messages: what the video is, its segments, and
    what the video is again, now exact."""

    def __init__(
        self, video: Video, *, segment_seconds: float, longest_seconds: float,
        alive: Callable[[], None],
    ) -> None:  # fmt: skip
        self.video = video
        self._alive = alive
        self.beginning = Beginning(video)
        self.summary = Summary(video, longest_seconds)
        self._segment_seconds = segment_seconds
        self._length = max(1, round(segment_seconds / video.time_base))
        self._order = Order()
        self._cut: Cut | None = None
        self._closed: list[Cut] = []
        self._anchor: dict[str, Any] | None = None
        self._first = 0
        self._start: int | None = None
        self._shown = 0
        self._keyframes: set[int] | None = None
        """Where the container's index has keyframes, if the pictures themselves are not read."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        try:
            yield from self._by_packets()
        except Irregular:
            self.video.file.skip([])
            if self._anchor is None:
                self.summary.forget_times()
            yield from count(
                self.video, self.summary, self._anchor, self._first,
                segment_seconds=self._segment_seconds,
                alive=self._alive,
            )  # fmt: skip
        yield self.summary.final()

    def _by_packets(self) -> Iterator[dict[str, Any]]:
        if not self.video.inspector.known:
            raise Irregular("packets of this codec cannot be judged")
        for packet in self.video.packets():
            self._alive()
            self.video.structure.passed(packet.av.pos or 0)
            if not self.beginning.done:
                yield from self._begin(packet)
            if packet.mark.shown:
                yield from self._place(packet)
        self.beginning.finish()
        yield from self.summary.announce(self.beginning.first_frame)
        yield from self._rest()

    def _begin(self, packet: Packet) -> Iterator[dict[str, Any]]:
        self.beginning.feed(packet)
        yield from self.summary.announce(self.beginning.first_frame)
        if self.beginning.done:
            self._skip_payload()

    def _place(self, packet: Packet) -> Iterator[dict[str, Any]]:
        """Ranks one shown packet and looks for a place to cut."""
        pts = packet.mark.pts
        if pts is None or packet.mark.shown > 1:
            raise Irregular("a packet without a time, or with several pictures")
        if packet.av.pos is None and self.video.form in _STREAMS:
            raise Irregular("a time that was guessed, which depends on where reading began")
        latest = self._order.latest
        self._order.add(pts)
        if self._cut is not None:
            self._follow(self._cut, pts)
        due = latest is not None and pts > latest and pts - self._segment_start() >= self._length
        clean = due and self._clean(packet)
        if self._cut is not None and (clean or self._cut.since >= WINDOW):
            self._close(self._cut)
            clean = clean and pts - self._segment_start() >= self._length
        if self.beginning.done:
            yield from self._segments()
        if clean and self._cut is None and latest is not None:
            self._cut = Cut(packet.anchor(), self._shown, latest)
        self._shown += 1
        self.summary.packet(pts, packet.av.duration or 0)

    def _follow(self, cut: Cut, pts: int) -> None:
        cut.since += 1
        if pts < cut.anchor["pts"]:
            cut.leading += 1
            if pts <= cut.latest:  # shown among frames that came long before: no place to cut
                self._cut = None

    def _segment_start(self) -> int:
        if self._closed:
            return int(self._closed[-1].anchor["pts"])
        start = self._start if self._start is not None else self._order.earliest
        return 0 if start is None else start

    def _clean(self, packet: Packet) -> bool:
        """Whether decoding can start here, by the packet's true bytes."""
        if self._keyframes is None:
            return self.video.clean(packet)
        pos = packet.av.pos
        if pos not in self._keyframes:
            return False
        head = self.video.file.read_at(pos, min(packet.av.size, _HEAD_OF_KEYFRAME), apart=True)
        return self.video.inspector.clean(head)

    def _close(self, cut: Cut) -> None:
        """All that is shown before ``cut`` is known: a segment ends there and one begins."""
        self._closed.append(cut)
        self._cut = None

    def _segments(self) -> Iterator[dict[str, Any]]:
        """The messages for the segments that have ended, once the beginning has been judged."""
        for cut in self._closed:
            end = cut.before + cut.leading - self.beginning.hidden
            until = cut.anchor["pts"]
            yield self._plan(end, until, until)
            self._anchor, self._first, self._start = cut.anchor, end, until
        self._closed.clear()

    def _rest(self) -> Iterator[dict[str, Any]]:
        if self._cut is not None:
            self._close(self._cut)
        yield from self._segments()
        if self.beginning.origin is None:
            return  # no packet shows anything; the summary says so
        total = self._shown - self.beginning.hidden
        self.summary.settle(total, self.beginning.origin)
        if total > self._first:
            yield self._plan(total, self.summary.end, None)

    def _plan(self, end: int, end_time: int, until: int | None) -> dict[str, Any]:
        start = self._start if self._start is not None else self.beginning.origin
        assert start is not None
        cursor = {"by": "time", "anchor": self._anchor, "from": start, "until": until}
        return self.summary.segment(self._first, end, start, end_time, cursor)

    def _skip_payload(self) -> None:
        """Spares reading the pictures where the container's index tells all there is to know.

        An MP4 file with a complete index holds every packet's place and times; of the pictures
        only the first bytes of some keyframes are looked at, and those are fetched apart.
        """
        entries = self.video.stream.index_entries
        whole = self.video.stream.frames
        if self.video.form != "mov" or self.video.codec_name not in _SPARSE_CODECS:
            return
        if not whole or len(entries) != whole:
            return
        holes: list[tuple[int, int]] = []
        for pos, end in sorted((entry.pos, entry.pos + entry.size) for entry in entries):
            if holes and pos <= holes[-1][1]:
                holes[-1] = (holes[-1][0], max(end, holes[-1][1]))
            else:
                holes.append((pos, end))
        self.video.file.skip(holes)
        self.video.inspector.all_shown = True
        self._keyframes = {entry.pos for entry in entries if entry.is_keyframe}
