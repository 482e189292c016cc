"""Writing pictures as a video: VP9 in WebM, by libvpx, whose licence is permissive (ADR 46)."""

from __future__ import annotations

from fractions import Fraction
from types import TracebackType
from typing import BinaryIO, Self, cast

import av
import cv2
from av.video.stream import VideoStream

from detect_api.vision.types import Image

_MILLISECONDS = Fraction(1, 1000)
_CODEC = "libvpx-vp9"
_OPTIONS = {
    "deadline": "realtime",
    "cpu-used": "8",
    "row-mt": "1",
    "crf": "33",
    "b": "0",
}


class Export:
    """A video file that grows picture by picture; a context manager. There is no sound.

    Only what we have painted ourselves is encoded, never bytes of the video that came in.
    """

    def __init__(
        self, file: BinaryIO, width: int, height: int, *, fps: float, threads: int
    ) -> None:
        self._container = av.open(file, "w", format="webm")
        rate = Fraction(max(1.0, min(fps, 240.0))).limit_denominator(1001)
        stream = cast(
            VideoStream, self._container.add_stream(_CODEC, rate=rate, options=dict(_OPTIONS))
        )
        # With half as many colours as pixels in each direction, sides are even.
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        stream.time_base = _MILLISECONDS
        stream.codec_context.time_base = _MILLISECONDS
        stream.codec_context.thread_count = threads
        self._stream = stream
        self._last = -1

    def add(self, image: Image, seconds: float) -> None:
        """Adds a picture, shown from then on. Times that do not ascend are moved on."""
        height, width = image.shape[:2]
        if width % 2 or height % 2:
            image = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)  # type: ignore[assignment]
        frame = av.VideoFrame.from_ndarray(image, format="bgr24")
        self._last = max(self._last + 1, round(seconds * 1000))
        frame.pts, frame.time_base = self._last, _MILLISECONDS
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Writes what the encoder still holds, and the file's index."""
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._container.close()
