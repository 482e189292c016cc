"""Checking on a video's beginning that its packets tell its frames."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from av.error import FFmpegError

from detect_api.vision.child.demux import Mark, Packet, Video

WINDOW = 64
"""No picture is shown more than so many packets away from its place in the file."""


_MOST_SPOTS = 3


class Irregular(Exception):
    """The packets' times do not tell the frames' numbers."""


class Beginning:
    """Decodes the first packets and compares what comes out with what the packets said.

    ``origin`` is the presentation time of frame 0. ``hidden`` counts the packets that say they
    show a picture before that but do not, because they refer to pictures that the file does not
    hold.
    """

    def __init__(self, video: Video) -> None:
        self._video = video
        self.first_frame: Any = None
        self.origin: int | None = None
        self.hidden = 0
        self.done = False
        self._marks: list[Mark] = []
        self._failed: set[int] = set()
        self._delivered: list[tuple[Mark, int | None]] = []
        self._interlaced = False
        self._key: Mark | None = None

    def feed(self, packet: Packet) -> None:
        """Takes the next packet. Raises Irregular once it is plain that the times do not tell."""
        self._marks.append(packet.mark)
        if self._key is None and packet.av.is_keyframe:
            self._key = packet.mark
        self._decode(packet)
        if len(self._marks) >= WINDOW and self.first_frame is not None:
            self._judge(ended=False)

    def finish(self) -> None:
        """There are no more packets. Raises as ``feed`` does."""
        if not self.done:
            self._decode(None)
            self._judge(ended=True)

    def _decode(self, packet: Packet | None) -> None:
        try:
            frames = self._video.decode(packet)
        except MemoryError:
            raise
        except FFmpegError:
            if packet is not None:
                self._failed.add(packet.mark.ordinal)
            return
        for frame in frames:
            if self.first_frame is None:
                self.first_frame = frame
            self._interlaced |= frame.interlaced_frame
            self._delivered.append((frame.opaque, frame.pts))

    def _judge(self, *, ended: bool) -> None:
        self.done = True
        if not self._delivered:
            return
        times = [pts for _, pts in self._delivered if pts is not None]
        if any(later <= earlier for earlier, later in pairwise(times)):
            raise Irregular("frames are not shown in the order of their times")
        if self._interlaced and self._video.codec_name == "h264":
            raise Irregular("two packets may hold the two fields of one frame")
        for mark, pts in self._delivered:
            if mark is None or pts is None or mark.pts != pts or mark.shown != 1:
                raise Irregular("frames have other times than their packets")
        self._miss(times[0], None if ended else times[-1])

    def _miss(self, first: int, last: int | None) -> None:
        """Explains each packet that showed nothing: before the first frame, damaged, or not."""
        delivered = {mark.ordinal for mark, _ in self._delivered}
        self.origin = first
        spots, previous = 0, -1
        for mark in self._marks:
            if not mark.shown or mark.pts is None or mark.ordinal in delivered:
                continue
            if mark.pts < first:
                if self._leads(mark):
                    self.hidden += 1
                else:
                    self.origin = min(self.origin, mark.pts)
            elif (last is None or mark.pts < last) and mark.ordinal not in self._failed:
                spots += mark.ordinal != previous + 1
                previous = mark.ordinal
        # Damage costs frames in a row; two fields in two packets cost every second one.
        if spots > _MOST_SPOTS:
            raise Irregular("packets show nothing that should")

    def _leads(self, mark: Mark) -> bool:
        """Whether the packet lies before the first keyframe, in the file or on the screen."""
        key = self._key
        if key is None or key.pts is None or mark.pts is None:
            return True
        return mark.ordinal < key.ordinal or mark.pts < key.pts
