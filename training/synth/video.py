"""Real H.264, H.265 and MPEG-4 damage: many crops in one mosaic, encoded over a few moving frames.

Encoding crop by crop would cost more than training on it; a mosaic of a hundred costs each of them
well under a millisecond.
"""

from dataclasses import dataclass
from fractions import Fraction

import av
import cv2
import numpy as np

from training.synth.canvas import Image
from training.synth.dice import Dice

WIDTH, HEIGHT = 960, 544
_ROOM = 6
"""Pixels between crops, so that neighbours do not bleed into each other."""
_SLACK = 4
"""How far a crop may wander over the frames, pixels."""


@dataclass(frozen=True)
class Tile:
    """A crop's place in the mosaic."""

    index: int
    x: int
    y: int


class Mosaic:
    """Crops set side by side in rows, as many as one frame holds."""

    def __init__(self) -> None:
        self.crops: list[Image] = []
        self.tiles: list[Tile] = []
        self._x = self._y = _ROOM
        self._shelf = 0

    def add(self, crop: Image) -> bool:
        """Takes the crop in, or says that the frame is full."""
        height, width = crop.shape[:2]
        if self._x + width + _SLACK + _ROOM > WIDTH:
            self._x, self._y = _ROOM, self._y + self._shelf + _SLACK + _ROOM
            self._shelf = 0
        if self._y + height + _SLACK + _ROOM > HEIGHT or width + 2 * _ROOM + _SLACK > WIDTH:
            return False
        self.tiles.append(Tile(len(self.crops), self._x, self._y))
        self.crops.append(crop)
        self._x += width + _SLACK + _ROOM
        self._shelf = max(self._shelf, height)
        return True


def damage(dice: Dice, mosaic: Mosaic) -> list[Image]:
    """The mosaic's crops, in their order, after a low-bit-rate codec.

    One codec, bit rate and moment for the whole mosaic; each crop moves its own way.
    """
    tiles = mosaic.tiles
    steps = dice.between(2, 4)
    ways = [(dice.uniform(-1.0, 1.0), dice.uniform(-0.5, 0.5)) for _ in tiles]
    decoded = _through_codec(dice, _frames(dice, mosaic, ways, steps))
    chosen = min(len(decoded) - 1, dice.below(steps))
    picture = decoded[chosen]
    damaged = []
    for tile, way in zip(tiles, ways, strict=True):
        height, width = mosaic.crops[tile.index].shape[:2]
        left, top = _position(tile, way, chosen)
        damaged.append(picture[top : top + height, left : left + width].copy())
    return damaged


def _position(tile: Tile, way: tuple[float, float], step: int) -> tuple[int, int]:
    half = _SLACK / 2
    dx = round(min(half, max(-half, way[0] * step)))
    dy = round(min(half, max(-half, way[1] * step)))
    return tile.x + int(half) + dx, tile.y + int(half) + dy


def _frames(dice: Dice, mosaic: Mosaic, ways: list[tuple[float, float]], steps: int) -> list[Image]:
    tones = dice.rng.integers(30, 200, (HEIGHT // 68, WIDTH // 96, 3), np.uint8)
    ground = cv2.resize(tones, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    frames = []
    for step in range(steps):
        frame = np.asarray(np.roll(ground, step, axis=1), np.uint8).copy()
        for tile, way in zip(mosaic.tiles, ways, strict=True):
            crop = mosaic.crops[tile.index]
            height, width = crop.shape[:2]
            left, top = _position(tile, way, step)
            frame[top : top + height, left : left + width] = crop
        frames.append(frame)
    return frames


def _through_codec(dice: Dice, frames: list[Image]) -> list[Image]:
    """The frames encoded and decoded again, in display order."""
    name = dice.weighted((("libx264", 0.66), ("libx265", 0.1), ("mpeg4", 0.24)))
    encoder = av.CodecContext.create(name, "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height = WIDTH, HEIGHT
    encoder.pix_fmt = "yuv420p"
    encoder.framerate = Fraction(25)
    encoder.time_base = Fraction(1, 25)
    encoder.thread_count = 1
    encoder.options = _options(dice, name, encoder)
    packets = []
    for i, frame in enumerate(frames):
        picture = av.VideoFrame.from_ndarray(frame, format="bgr24")
        picture.pts = i
        packets.extend(encoder.encode(picture))
    packets.extend(encoder.encode(None))
    decoder = av.CodecContext.create({"libx264": "h264", "libx265": "hevc"}.get(name, name), "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    if encoder.extradata:
        decoder.extradata = encoder.extradata
    pictures = [picture for packet in packets for picture in decoder.decode(packet)]
    pictures.extend(decoder.decode(None))
    return [np.asarray(picture.to_ndarray(format="bgr24"), np.uint8) for picture in pictures]


def _options(dice: Dice, name: str, encoder: av.VideoCodecContext) -> dict[str, str]:
    """Quality from good to hardly legible, as the codec wants it said."""
    if name == "mpeg4":
        scale = dice.between(6, 24)
        encoder.qmin = encoder.qmax = scale
        return {"flags": "+qscale", "global_quality": str(scale * 118)}
    crf = dice.uniform(25, 40)
    if name == "libx264":
        return {
            "preset": dice.pick(("ultrafast", "veryfast", "veryfast", "faster")),
            "crf": f"{crf:.1f}",
            "x264-params": "log-level=none",
        }
    return {
        "preset": dice.pick(("ultrafast", "superfast")),
        "crf": f"{crf:.1f}",
        "x265-params": "log-level=none:pools=1:frame-threads=1:wpp=0",
    }
