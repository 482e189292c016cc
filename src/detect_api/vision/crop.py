"""Cutting plates out of pictures, and how sharp they are."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from detect_api.vision.types import Image, Observation, Point

CROP_QUALITY = 92
FRAME_QUALITY = 88


MARGIN_X, MARGIN_Y = 0.05, 0.1
"""What a crop shows around the plate on each side, in parts of its width and height.

Characters that touch the corners found are cut otherwise. Read with 0.05 and 0.1, the pilot reader
had .871 of the American validation plates right, without a margin .782."""


def rectify(image: Image, corners: tuple[Point, Point, Point, Point]) -> Image:
    """The plate as seen from the front, with a margin: ``MARGIN_X`` and ``MARGIN_Y`` around it.

    ``corners`` run clockwise from the top left. What lies outside the picture repeats its edge.
    """
    quad = _grown(np.array(corners, dtype=np.float64)).astype(np.float32)
    edges = np.linalg.norm(np.roll(quad, -1, axis=0) - quad, axis=1)
    width = max(1, round(float(max(edges[0], edges[2]))))
    height = max(1, round(float(max(edges[1], edges[3]))))
    # Cutting out first keeps the warp to the neighbourhood of the plate.
    left, top = (max(0, int(v) - 4) for v in quad.min(axis=0))
    right, bottom = (max(1, int(v) + 5) for v in quad.max(axis=0))
    part = image[min(top, image.shape[0] - 1) : bottom, min(left, image.shape[1] - 1) : right]
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    # Corners are edges of pixels (0 is the left edge of the first), warpPerspective takes centres.
    source = quad - np.array([left, top], dtype=np.float32)
    matrix = cv2.getPerspectiveTransform(source - 0.5, target - 0.5)
    flat = cv2.warpPerspective(
        part, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return cast(Image, flat)


def _grown(quad: NDArray[np.float64]) -> NDArray[np.float64]:
    """The corners moved outward by the margins, along the plate's own axes."""
    a, b, c, d = quad
    along, down = ((b - a) + (c - d)) / 2, ((d - a) + (c - b)) / 2
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    grown: NDArray[np.float64] = (
        quad + signs[:, :1] * MARGIN_X * along + signs[:, 1:] * MARGIN_Y * down
    )
    return grown


def without_margin(crop: Image) -> Image:
    """What ``rectify`` gives, cut down to the plate itself."""
    height, width = crop.shape[:2]
    x = round(width * MARGIN_X / (1 + 2 * MARGIN_X))
    y = round(height * MARGIN_Y / (1 + 2 * MARGIN_Y))
    return crop[y : height - y, x : width - x]


def sharpness(crop: Image) -> float:
    """How sharp a plate is at reading size: variance of the Laplacian over variance of grey.

    The crop is brought to 48 pixels height before, so that a small plate counts as blurred and a
    large one is not favoured; dividing by the contrast makes light and shade alike.
    """
    width = max(8, min(480, round(crop.shape[1] * 48 / crop.shape[0])))
    gray = cv2.cvtColor(cv2.resize(crop, (width, 48)), cv2.COLOR_BGR2GRAY).astype(np.float32)
    contrast = float(gray.var())
    if contrast < 1:
        return 0.0
    return float(cv2.Laplacian(gray, cv2.CV_32F).var()) / contrast


def evidence(image: Image, observation: Observation) -> tuple[bytes, bytes]:
    """The pictures that prove an observation: JPEG of the plate with a margin, of the frame."""
    height, width = image.shape[:2]
    box = observation.box
    margin = max(4.0, 0.25 * box.height)
    left, right = max(0, int(box.x1 - margin)), min(width, int(box.x2 + margin) + 1)
    top, bottom = max(0, int(box.y1 - margin)), min(height, int(box.y2 + margin) + 1)
    return _jpeg(image[top:bottom, left:right], CROP_QUALITY), _jpeg(image, FRAME_QUALITY)


def _jpeg(image: Image, quality: int) -> bytes:
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return encoded.tobytes()
