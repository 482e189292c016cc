"""What a scan has learnt so far, put into messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from detect_api.core.errors import VideoError
from detect_api.vision.child.demux import Video
from detect_api.vision.child.picture import orientation, rotation


class Summary:
    """The facts about one video: ``start`` and ``end`` in units of the stream's time base."""

    def __init__(self, video: Video, longest_seconds: float) -> None:
        self._video = video
        self._longest = longest_seconds
        self._frame: dict[str, Any] | None = None
        self._index = 0
        self._latest: int | None = None
        self._last_duration = 0
        self.start = 0
        self.end = 0
        self.total = 0
        duration = video.container.duration
        if duration and duration / 1e6 > longest_seconds:
            raise self._too_long(duration / 1e6)

    def announce(self, frame: Any) -> Iterator[dict[str, Any]]:
        """The provisional facts, once, as soon as there is a first frame."""
        if frame is None or self._frame is not None:
            return
        self._video.check_size(frame.width, frame.height)
        self._frame = upright(frame)
        fps, seconds = self._nominal_fps(), (self._video.container.duration or 0) / 1e6
        total = self._video.stream.frames or round(fps * seconds) or 1
        yield self._info(fps, seconds or total / fps, total, [], truncated=False)

    def packet(self, pts: int, duration: int) -> None:
        """A frame was found at ``pts``. Raises VideoError when the video is too long."""
        if self._latest is None:
            self.start = self._latest = pts
            self._last_duration = duration
        elif pts > self._latest:
            self._latest, self._last_duration = pts, duration
        self.start = min(self.start, pts)
        if self._video.seconds(self._latest - self.start) > self._longest:
            raise self._too_long(self._video.seconds(self._latest - self.start))

    def forget_times(self) -> None:
        """Frames will be told again from the first one on."""
        self._latest = None

    def settle(self, total: int, start: int | None) -> None:
        """All frames were found: there are ``total``, the first at ``start``."""
        self.total = total
        if start is not None:
            self.start = start
        latest = self.start if self._latest is None else self._latest
        last = self._last_duration
        if last <= 0:
            last = round((latest - self.start) / (total - 1)) if total > 1 else 0
        if last <= 0:
            last = max(1, round(1 / self._nominal_fps() / self._video.time_base))
        self.end = latest + last

    def segment(
        self, first: int, end: int, start: int, end_time: int, cursor: dict[str, Any]
    ) -> dict[str, Any]:
        """The message for the next segment."""
        message = {
            "segment": self._index, "first": first, "end": end,
            "start_seconds": self._video.seconds(start),
            "end_seconds": self._video.seconds(end_time), "cursor": cursor,
        }  # fmt: skip
        self._index += 1
        return message

    def final(self) -> dict[str, Any]:
        """The exact facts. Raises VideoError when there is no frame."""
        if self._frame is None or not self.total:
            raise VideoError("no frame of the video can be decoded", code="no_frames")
        seconds = self._video.seconds(self.end - self.start)
        fps = self._nominal_fps() if self.total == 1 else self.total / seconds
        problems = []
        truncated = self._video.structure.truncated
        if truncated:
            problems.append(f"truncated after {seconds:.1f} s; {self.total} frames were read")
        if (damaged := self._video.damaged_packets - truncated) > 0:
            problems.append(f"{damaged} places in the file are damaged")
        return self._info(fps, seconds, self.total, problems, truncated=truncated)

    def _info(
        self, fps: float, seconds: float, total: int, problems: list[str], *, truncated: bool
    ) -> dict[str, Any]:
        assert self._frame is not None
        return {
            "info": {
                **self._frame, "container": self._video.label, "codec": self._video.codec_name,
                "fps": fps, "duration_seconds": seconds, "total_frames": total,
                "problems": problems, "truncated": truncated,
            }
        }  # fmt: skip

    def _nominal_fps(self) -> float:
        stream = self._video.stream
        return float(stream.average_rate or stream.guessed_rate or 25)

    def _too_long(self, seconds: float) -> VideoError:
        return VideoError(
            f"the video is {seconds / 3600:.1f} hours long, more than the "
            f"{self._longest / 3600:.1f} hours that are allowed",
            code="too_long",
        )


def upright(frame: Any) -> dict[str, Any]:
    """Width, height and rotation of the frame as it is to be shown."""
    turn = orientation(frame)
    return {
        "width": frame.height if turn[0] else frame.width,
        "height": frame.width if turn[0] else frame.height,
        "rotation": rotation(*turn),
    }


def image_facts(video: Video, frame: Any) -> dict[str, Any]:
    """What ``Summary`` says about a video, for a still picture."""
    return {
        "info": {
            **upright(frame), "container": video.label, "codec": video.codec_name, "fps": 25.0,
            "duration_seconds": 0.0, "total_frames": 1, "problems": [], "truncated": False,
        }
    }  # fmt: skip
