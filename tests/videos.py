"""Videos made for tests: every frame carries its own number as a pattern that can be read back.

The number is drawn as 4 x 4 black or white cells of 24 pixels in the top left corner of the
upright picture, most significant bit first, so it survives lossy coding at test sizes.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from detect_api.vision.types import Image

CELL = 24
GRID = 4


def picture(number: int, width: int = 160, height: int = 120) -> Image:
    """The upright picture of frame ``number``, BGR, over a background that moves."""
    x = np.arange(width, dtype=np.int64)
    y = np.arange(height, dtype=np.int64)[:, None]
    image = np.empty((height, width, 3), np.uint8)
    image[..., 0] = (x + 2 * number) % 256
    image[..., 1] = (y + x // 2 + number) % 256
    image[..., 2] = 128 + 60 * np.sin((x + y + 3 * number) / 17.0)
    for bit in range(GRID * GRID):
        row, column = divmod(bit, GRID)
        value = 235 if number >> (GRID * GRID - 1 - bit) & 1 else 16
        image[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL] = value
    return image


def number_in(image: Image) -> int:
    """The number that ``picture`` drew."""
    number = 0
    for bit in range(GRID * GRID):
        row, column = divmod(bit, GRID)
        cell = image[
            row * CELL + 6 : (row + 1) * CELL - 6, column * CELL + 6 : (column + 1) * CELL - 6
        ]
        number = number << 1 | int(cell.mean() > 128)
    return number


@dataclass
class Clip:
    """What a test video is made of; ``encode`` makes it.

    ``times`` are presentation times in units of ``time_base``, one a frame, None for a constant
    rate. ``rotation`` is how many degrees clockwise the stored picture has to be turned to be
    upright. ``audio`` is "first" or "last" among the streams. ``second_video`` adds a smaller one,
    ``cover`` a still picture to the video. ``noise`` makes pictures that cannot be compressed,
    without numbers. ``alter_packet`` gets each packet with its index and says what is written
    instead: a packet, several, or None.
    """

    container: str = "mp4"
    codec: str = "libx264"
    frames: int = 60
    width: int = 160
    height: int = 120
    fps: Fraction = Fraction(30)
    gop: int = 12
    pix_fmt: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    container_options: dict[str, str] = field(default_factory=dict)
    times: Sequence[int] | None = None
    time_base: Fraction | None = None
    rotation: int = 0
    audio: str | None = None
    second_video: bool = False
    cover: bool = False
    noise: bool = False
    numbers: Callable[[int], int] = int
    alter_packet: Callable[[int, Any], Any] | None = None


def encode(clip: Clip) -> bytes:
    """The bytes of the video that ``clip`` describes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video"
        _write(clip, path)
        return path.read_bytes()


def _write(clip: Clip, path: Path) -> None:
    container: Any
    with av.open(
        str(path), "w", format=clip.container, options=clip.container_options
    ) as container:
        audio = _audio_stream(container, clip) if clip.audio == "first" else None
        stream: Any = container.add_stream(clip.codec, rate=clip.fps)
        stream.width, stream.height = _stored(clip.width, clip.height, clip.rotation)
        stream.pix_fmt = clip.pix_fmt
        stream.codec_context.gop_size = clip.gop
        stream.codec_context.thread_count = 1
        stream.options = clip.options
        if clip.time_base is not None:
            stream.codec_context.time_base = clip.time_base
        if clip.rotation:
            stream.set_display_rotation(-clip.rotation)
        second: Any = None
        if clip.second_video:
            second = container.add_stream("mpeg4", rate=clip.fps)
            second.width, second.height, second.pix_fmt = 64, 48, "yuv420p"
        if clip.audio == "last":
            audio = _audio_stream(container, clip)
        if clip.cover:
            _cover(container)
        written = 0
        for index in range(clip.frames):
            upright = picture(clip.numbers(index), clip.width, clip.height)
            if clip.noise:
                upright = np.random.default_rng(index).integers(0, 256, upright.shape, np.uint8)
            stored = np.ascontiguousarray(np.rot90(upright, clip.rotation // 90))
            frame = av.VideoFrame.from_ndarray(stored, format="bgr24").reformat(
                format=clip.pix_fmt, dst_color_range="MPEG" if "j" not in clip.pix_fmt else "JPEG"
            )
            frame.pts = index if clip.times is None else clip.times[index]
            frame.time_base = clip.time_base or 1 / clip.fps
            written = _mux(container, stream.encode(frame), clip, written)
            if audio is not None:
                _sound(container, audio, index, clip)
            if second is not None:
                small = av.VideoFrame.from_ndarray(picture(0, 100, 100)[:48, :64].copy(), "bgr24")
                small.pts, small.time_base = index, 1 / clip.fps
                container.mux(second.encode(small.reformat(format="yuv420p")))
        _mux(container, stream.encode(None), clip, written)
        for other in (audio, second):
            if other is not None:
                container.mux(other.encode(None))


def _stored(width: int, height: int, rotation: int) -> tuple[int, int]:
    return (height, width) if rotation % 180 else (width, height)


def _mux(container: Any, packets: Iterable[Any], clip: Clip, written: int) -> int:
    for packet in packets:
        altered = clip.alter_packet(written, packet) if clip.alter_packet else packet
        written += 1
        if altered is not None:
            container.mux(altered)
    return written


def _audio_stream(container: Any, clip: Clip) -> Any:
    codec = {"webm": "libopus", "avi": "mp2", "flv": "aac"}.get(clip.container, "aac")
    stream = container.add_stream(codec, rate=48000)
    stream.layout = "mono"
    return stream


def _cover(container: Any) -> None:
    stream = container.add_stream("mjpeg", rate=1)
    stream.time_base = Fraction(1)
    stream.width, stream.height, stream.pix_fmt = 96, 96, "yuvj420p"
    stream.codec_context.time_base = Fraction(1)
    stream.disposition = av.stream.Disposition.attached_pic
    frame = av.VideoFrame.from_ndarray(picture(0, 96, 96), "bgr24").reformat(format="yuvj420p")
    frame.pts, frame.time_base = 0, Fraction(1)
    for packet in [*stream.encode(frame), *stream.encode(None)]:
        container.mux(packet)


def _sound(container: Any, stream: Any, index: int, clip: Clip) -> None:
    samples = int(48000 / clip.fps)
    tone = (np.sin(np.arange(samples) / 20) * 8000).astype(np.int16)[None, :]
    frame = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
    frame.sample_rate = 48000
    frame.pts, frame.time_base = index * samples, Fraction(1, 48000)
    container.mux(stream.encode(frame))


def with_bytes(packet: Any, data: bytes) -> Any:
    """A packet like ``packet`` that holds ``data``."""
    other: Any = av.Packet(data)
    other.pts, other.dts, other.duration = packet.pts, packet.dts, packet.duration
    other.time_base, other.stream = packet.time_base, packet.stream
    other.is_keyframe = packet.is_keyframe
    return other


@dataclass(frozen=True)
class Shown:
    """A frame as a plain PyAV decode of the whole video gives it."""

    number: int
    seconds: float | None
    image: Image


def decode_plainly(data: bytes, stream: int = 0) -> list[Shown]:
    """Every frame of the video, by one single-threaded decode with PyAV from start to end."""
    shown: list[Shown] = []
    container: Any
    with av.open(io.BytesIO(data)) as container:
        video = container.streams.video[stream]
        video.codec_context.thread_count = 1
        for frame in container.decode(video):
            image = frame.reformat(format="bgr24", threads=1).to_ndarray()
            upright = np.rot90(image, round(frame.rotation / 90) % 4)
            shown.append(Shown(len(shown), frame.time, np.ascontiguousarray(upright)))
    return shown


class MemorySource:
    """Bytes in memory as a ByteSource that notes what was read."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.bytes_read = 0
        self.closed = False

    @property
    def size(self) -> int:
        return len(self.data)

    def read_at(self, offset: int, length: int) -> bytes:
        piece = self.data[offset : offset + length]
        self.bytes_read += len(piece)
        return piece

    def close(self) -> None:
        self.closed = True
