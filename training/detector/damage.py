"""What cameras and recorders do to a picture: light, lens, shake, noise, compression."""

from __future__ import annotations

import io

import av
import cv2
import numpy as np

from training.detector.boxes import Floats, Image

NOISE_SIDE = 768


class Damage:
    """Damages canvases; draws its noise from one field made by ``seed``."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._noise: Floats = rng.normal(0, 1, (NOISE_SIDE, NOISE_SIDE, 3)).astype(np.float32)

    def apply(self, rng: np.random.Generator, image: Image) -> Image:
        """A damaged copy, or the picture itself where chance spares it."""
        if rng.random() < 0.75:
            image = light(rng, image)
        if rng.random() < 0.15:
            image = np.repeat(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[..., None], 3, 2)
        if rng.random() < 0.15:
            image = coarsened(rng, image)
        kind = rng.random()
        if kind < 0.2:
            image = _image(cv2.GaussianBlur(image, (0, 0), _log_uniform(rng, 0.4, 1.6)))
        elif kind < 0.32:
            image = shaken(rng, image)
        if rng.random() < 0.22:
            image = self._noisy(rng, image)
        kind = rng.random()
        if kind < 0.3:
            quality = int(rng.uniform(15, 85))
            _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
            image = _image(cv2.imdecode(data, cv2.IMREAD_COLOR))
        elif kind < 0.42:
            image = recorded(rng, image)
        return image

    def _noisy(self, rng: np.random.Generator, image: Image) -> Image:
        height, width = image.shape[:2]
        y, x = (int(rng.integers(NOISE_SIDE - v + 1)) for v in (height, width))
        noise = self._noise[y : y + height, x : x + width] * _log_uniform(rng, 2, 16)
        return _image(cv2.add(image, noise, dtype=cv2.CV_8U))


def light(rng: np.random.Generator, image: Image) -> Image:
    """Another gamma, contrast and brightness, in half the cases with a cast of colour."""
    levels = np.linspace(0, 1, 256) ** _log_uniform(rng, 0.5, 2.0)
    levels = (levels - 0.5) * rng.uniform(0.5, 1.35) + 0.5 + rng.uniform(-0.2, 0.18)
    casts = rng.uniform(0.8, 1.2, 3) if rng.random() < 0.5 else np.ones(3)
    if rng.random() < 0.06:
        casts = casts * [1.2, 0.55, 1.1]  # infrared light through a leaking filter: purple
    table = np.clip(255 * levels[:, None] * casts, 0, 255).astype(np.uint8)
    return _image(cv2.LUT(image, table[None]))


def coarsened(rng: np.random.Generator, image: Image) -> Image:
    """Shrunk and enlarged again, as a recorder does that stores less than the camera sees."""
    height, width = image.shape[:2]
    factor = rng.uniform(0.4, 0.85)
    small = cv2.resize(
        image, (int(width * factor), int(height * factor)), interpolation=cv2.INTER_AREA
    )
    interpolation = cv2.INTER_LINEAR if rng.random() < 0.6 else cv2.INTER_CUBIC
    return _image(cv2.resize(small, (width, height), interpolation=interpolation))


def shaken(rng: np.random.Generator, image: Image) -> Image:
    """Blurred along a line: the camera shakes, or the car moves."""
    length = int(rng.integers(3, 10))
    angle = rng.choice([0.0, 0.0, rng.uniform(0, np.pi)])
    reach = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    start, end = ((np.array([length / 2] * 2) + way * reach).astype(int) for way in (-1, 1))
    kernel = np.zeros((length, length), np.float32)
    cv2.line(kernel, tuple(map(int, start)), tuple(map(int, end)), 1.0, 1)
    kernel[length // 2, length // 2] = 1
    return _image(cv2.filter2D(image, -1, kernel / kernel.sum()))


def recorded(rng: np.random.Generator, image: Image) -> Image:
    """The second of two frames of a moving H.264 video at a low bit rate."""
    height, width = image.shape[:2]
    shift = rng.integers(-4, 5, 2)
    before = np.roll(image, shift, (0, 1))
    file = io.BytesIO()
    with av.open(file, "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "crf": str(int(rng.integers(26, 42))),
            "threads": "1",
        }
        for frame in (before, image):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "bgr24")))
        container.mux(stream.encode())
    file.seek(0)
    with av.open(file, "r", format="h264") as source:
        source.streams.video[0].thread_count = 1
        *_, last = source.decode(video=0)
        return _image(last.to_ndarray(format="bgr24"))


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _image(array: object) -> Image:
    return np.asarray(array, np.uint8)
