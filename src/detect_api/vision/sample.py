"""A sample traffic clip with known plates, drawn from nothing.

A fixed camera looks down a two-lane road; cars come towards it, one after another and side by
side, and leave the picture at its lower edge. Same arguments, same clip.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

WIDTH, HEIGHT = 960, 540

# The camera: a pinhole that looks along the road from CAMERA metres above it. A point x metres to
# the right, h metres above the road and z metres away is drawn at
# (WIDTH / 2 + FOCAL * x / z, HORIZON + FOCAL * (CAMERA - h) / z).
FOCAL = 1650.0
CAMERA = 2.6
HORIZON = 70.0

FAR, NEAR = 36.0, 5.0
LANE = 1.75
CAR_WIDTH = 1.85
SPRITE = 720
"""Width of a drawn car in pixels, before it is scaled to its distance."""

# Letters and digits that no reader takes for one another.
LETTERS, DIGITS = "ABCEFHKLMNPRTUVXY", "2345679"

PAINTS = [
    (178, 34, 42), (38, 84, 148), (226, 228, 232), (52, 56, 62), (24, 108, 92), (196, 150, 60),
    (120, 126, 134), (92, 46, 104), (208, 98, 40),
]  # fmt: skip

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Pass:
    """One car: when it comes into sight (seconds), its lane (-1 left, 1 right), speed in m/s."""

    start: float
    lane: int
    speed: float
    text: str
    sprite: Pixels

    def distance(self, seconds: float) -> float:
        return FAR - self.speed * (seconds - self.start)


def make_sample(path: Path, *, seconds: float = 8, fps: int = 12, seed: int = 7) -> list[str]:
    """Write an H.264 clip to ``path`` (.mp4) and return its plates in the order of appearance.

    Eight seconds show four cars, two of them side by side; each further six seconds four more.
    A keyframe comes every two seconds, so that longer clips can be read in parallel.
    """
    passes = _traffic(seconds, random.Random(seed))  # noqa: S311 - no secret
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        # With two threads and a busy machine, x264 was seen to write another clip now and then.
        stream = container.add_stream(
            "libx264",
            rate=fps,
            options={"preset": "veryfast", "crf": "19", "threads": "1", "g": str(2 * fps)},
        )
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = Fraction(1, fps)
        for number, picture in enumerate(_frames(passes, round(seconds * fps), fps, seed)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return [car.text for car in passes]


def _traffic(seconds: float, rng: random.Random) -> list[Pass]:
    """Cars one after another in both lanes, then two side by side, again and again."""
    starts = [
        (round_start + offset, lane)
        for round_start in np.arange(0, max(seconds, 6), 6).tolist()
        for offset, lane in ((0.0, -1), (1.5, 1), (3.6, -1), (3.7, 1))
    ]
    passes: list[Pass] = []
    for number, (start, lane) in enumerate(starts):
        if start + 3.7 > seconds:
            break
        text = _text(rng)
        while any(text == other.text for other in passes):
            text = _text(rng)
        sprite = _car(text, PAINTS[number % len(PAINTS)], tall=number % 3 == 2)
        passes.append(Pass(start, lane, rng.uniform(8.6, 9.2), text, sprite))
    return passes


def _text(rng: random.Random) -> str:
    return "".join(rng.choices(LETTERS, k=3)) + "".join(rng.choices(DIGITS, k=4))


def _frames(passes: list[Pass], count: int, fps: int, seed: int) -> Iterator[Pixels]:
    """The frames, RGB."""
    scenery = _scenery(seed)
    noise = np.random.default_rng(seed)
    for number in range(count):
        picture = scenery.copy()
        inside = [(car.distance(number / fps), car) for car in passes]
        for distance, car in sorted(inside, key=lambda item: -item[0]):
            if NEAR - 1.5 < distance <= FAR:
                _place(picture, car, distance)
        grain = noise.integers(-3, 4, (HEIGHT, WIDTH, 1), dtype=np.int16)
        yield np.clip(picture + grain, 0, 255).astype(np.uint8)


def _place(picture: Pixels, car: Pass, distance: float) -> None:
    """Draw a car into the picture at its distance."""
    scale = FOCAL / distance
    width = CAR_WIDTH * scale
    height = width * car.sprite.shape[0] / SPRITE
    left = WIDTH / 2 + car.lane * LANE * scale - width / 2
    top = HORIZON + CAMERA * scale - height
    zoom = width / SPRITE
    # Shrinking in one affine step aliases; first halve, then place to the fraction of a pixel.
    sprite = car.sprite
    while zoom < 0.5:
        sprite, zoom = cast(Pixels, cv2.pyrDown(sprite)), zoom * 2
    matrix = np.array([[zoom, 0, left], [0, zoom, top]])
    drawn = cv2.warpAffine(sprite, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
    opacity = drawn[:, :, 3:].astype(np.float32) / 255
    # Opacity is multiplied into the sprite's colours already.
    picture[:] = (picture * (1 - opacity) + drawn[:, :, :3]).clip(0, 255).astype(np.uint8)


def _scenery(seed: int) -> Pixels:
    """The empty road: sky, trees, verge, asphalt with its markings."""
    big = Image.new("RGB", (2 * WIDTH, 2 * HEIGHT))
    draw = ImageDraw.Draw(big)
    rng = random.Random(seed + 1)  # noqa: S311 - no secret
    horizon = int(2 * HORIZON)
    for y in range(horizon + 20):
        part = y / horizon
        draw.line(
            [(0, y), (2 * WIDTH, y)],
            fill=(int(126 + 80 * part), int(170 + 46 * part), int(214 + 24 * part)),
        )
    for y in range(horizon, 2 * HEIGHT):
        part = (y - horizon) / (2 * HEIGHT - horizon)
        shade = (int(112 - 26 * part), int(136 - 24 * part), int(82 - 22 * part))
        draw.line([(0, y), (2 * WIDTH, y)], fill=shade)
    for x in range(-60, 2 * WIDTH + 60, 22):
        radius = rng.randint(18, 48)
        green = rng.randint(64, 96)
        center = horizon - radius // 3
        draw.ellipse(
            [x - radius, center - radius, x + radius, center + radius],
            fill=(green - 26, green + 6, green - 32),
        )
    draw.polygon(_strip(-4.6, 4.6), fill=(150, 146, 134))
    draw.polygon(_strip(-3.9, 3.9), fill=(88, 90, 94))
    for edge in (-3.6, 3.6):
        draw.polygon(_strip(edge - 0.07, edge + 0.07), fill=(222, 222, 214))
    for near in np.arange(3.0, 90.0, 6.0).tolist():
        draw.polygon(_strip(-0.07, 0.07, near, near + 2.6), fill=(222, 222, 214))
    for side in (-5.4, 5.4):
        for z in np.arange(6.0, 90.0, 12.0).tolist()[::-1]:
            _post(draw, side, z)
    scenery = np.asarray(big.resize((WIDTH, HEIGHT), Image.Resampling.BOX)).astype(np.int16)
    noise = np.random.default_rng(seed).normal(0, 1, (HEIGHT, WIDTH)).astype(np.float32)
    texture = cv2.GaussianBlur(noise, (0, 0), 1.2) * 9
    texture[: int(HORIZON)] = 0
    return cast(Pixels, np.clip(scenery + texture[:, :, None], 0, 255).astype(np.uint8))


def _ground(x: float, z: float, h: float = 0.0) -> tuple[float, float]:
    """Where a point of the world lies in the double-size scenery."""
    return 2 * (WIDTH / 2 + FOCAL * x / z), 2 * (HORIZON + FOCAL * (CAMERA - h) / z)


def _strip(
    left: float, right: float, near: float = 3.0, far: float = 900.0
) -> list[tuple[float, float]]:
    return [_ground(left, near), _ground(left, far), _ground(right, far), _ground(right, near)]


def _post(draw: ImageDraw.ImageDraw, x: float, z: float) -> None:
    """A white roadside post with a dark band."""
    for low, high, fill in ((0.0, 0.9, (226, 226, 220)), (0.55, 0.75, (40, 40, 44))):
        draw.polygon(
            [
                _ground(x - 0.07, z, low),
                _ground(x - 0.07, z, high),
                _ground(x + 0.07, z, high),
                _ground(x + 0.07, z, low),
            ],
            fill=fill,
        )


def _car(text: str, paint: tuple[int, int, int], *, tall: bool) -> Pixels:
    """A car from the front, RGBA with the opacity multiplied in; SPRITE pixels wide."""
    height = 700 if tall else 600
    image = Image.new("RGBA", (SPRITE, height))
    draw = ImageDraw.Draw(image)
    _shadow(image, height)
    base, roof = height - 60, 40
    waist = base - 330

    def shade(factor: float) -> tuple[int, int, int]:
        return tuple(min(255, int(c * factor)) for c in paint)  # type: ignore[return-value]

    for x in (70, SPRITE - 170):
        draw.rounded_rectangle([x, base - 110, x + 100, base + 40], 26, fill=(22, 22, 24))
    draw.polygon(
        [(130, waist + 10), (190, roof), (SPRITE - 190, roof), (SPRITE - 130, waist + 10)],
        fill=shade(0.82),
    )
    draw.polygon(
        [(156, waist), (205, roof + 24), (SPRITE - 205, roof + 24), (SPRITE - 156, waist)],
        fill=(46, 58, 70),
    )
    draw.polygon(
        [(300, waist), (350, roof + 24), (430, roof + 24), (395, waist)], fill=(78, 94, 108)
    )
    for x in (62, SPRITE - 132):
        draw.rounded_rectangle([x, waist - 34, x + 70, waist + 16], 18, fill=shade(0.7))
    draw.rounded_rectangle([60, waist, SPRITE - 60, base], 64, fill=paint)
    draw.rounded_rectangle([90, waist + 8, SPRITE - 90, waist + 96], 44, fill=shade(1.12))
    draw.rounded_rectangle([210, waist + 116, SPRITE - 210, waist + 168], 20, fill=(30, 31, 34))
    for x in (84, SPRITE - 204):
        draw.rounded_rectangle([x, waist + 104, x + 120, waist + 172], 28, fill=(206, 214, 220))
        draw.ellipse([x + 34, waist + 112, x + 86, waist + 164], fill=(250, 250, 240))
    draw.rounded_rectangle([60, base - 128, SPRITE - 60, base - 4], 44, fill=shade(0.9))
    plate = _plate(text)
    image.paste(plate, ((SPRITE - plate.width) // 2, base - 122))
    array = np.asarray(image).astype(np.float32)
    array[:, :, :3] *= array[:, :, 3:] / 255
    return array.round().astype(np.uint8)


def _shadow(image: Image.Image, height: int) -> None:
    soft = Image.new("L", image.size)
    ImageDraw.Draw(soft).ellipse([20, height - 110, SPRITE - 20, height - 6], fill=150)
    image.putalpha(soft.filter(ImageFilter.GaussianBlur(14)))


def _plate(text: str) -> Image.Image:
    """A white plate with a blue band, 520 x 112 mm at the scale of the sprite, a little enlarged.

    Rendered large and shrunk, so that its edges are smooth.
    """
    big = Image.new("RGB", (1040, 224), (28, 28, 30))
    draw = ImageDraw.Draw(big)
    draw.rounded_rectangle([8, 8, 1031, 215], 18, fill=(246, 246, 240))
    draw.rectangle([8, 26, 92, 197], fill=(24, 62, 148))
    font = ImageFont.load_default(size=176)
    label = f"{text[:3]} {text[3:]}"
    draw.text((566, 112), label, font=font, fill=(16, 16, 18), anchor="mm", stroke_width=3)
    return big.resize((262, 58), Image.Resampling.LANCZOS)
