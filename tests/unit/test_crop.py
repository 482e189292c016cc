"""Cutting plates out of pictures."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from detect_api.vision.crop import MARGIN_X, MARGIN_Y, rectify, sharpness, without_margin
from tests.observations import drawn, scene


def test_a_crop_shows_the_plate_and_a_margin() -> None:
    plate = drawn("KLM 4827")
    height, width = plate.shape[:2]
    picture = scene((plate, 200, 120))
    right, bottom = 200.0 + width, 120.0 + height
    crop = rectify(picture, ((200, 120), (right, 120), (right, bottom), (200, bottom)))
    assert crop.shape[1] == round(width * (1 + 2 * MARGIN_X))
    assert crop.shape[0] == round(height * (1 + 2 * MARGIN_Y))
    inner = without_margin(crop)
    assert inner.shape[0] == pytest.approx(height, abs=1)
    assert inner.shape[1] == pytest.approx(width, abs=1)
    assert crop[1:3].mean() < 110 < inner[1:3].mean()


def test_a_slanted_plate_comes_out_straight() -> None:
    plate = drawn("KLM 4827")
    height, width = plate.shape[:2]
    flat = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    there = np.array([[100, 140], [300, 90], [310, 150], [104, 196]], dtype=np.float32)
    matrix = cv2.getPerspectiveTransform(flat - 0.5, there - 0.5)
    picture = cv2.warpPerspective(plate, matrix, (400, 300)).astype(np.uint8)
    a, b, c, d = ((float(x), float(y)) for x, y in there)
    straight = without_margin(rectify(picture, (a, b, c, d)))
    expected = cv2.resize(plate, (straight.shape[1], straight.shape[0]))
    assert np.abs(straight.astype(int) - expected).mean() < 16


@pytest.mark.parametrize("left", [-30.0, 940.0])
def test_a_plate_over_the_edge_is_cut_all_the_same(left: float) -> None:
    corners = ((left, 520.0), (left + 90, 520.0), (left + 90, 550.0), (left, 550.0))
    assert rectify(scene(), corners).shape == (36, 99, 3)


def test_blur_is_less_sharp_and_size_does_not_matter() -> None:
    plate = drawn("KLM 4827")
    blurred = cv2.GaussianBlur(plate, (0, 0), 3).astype(np.uint8)
    assert sharpness(blurred) < 0.3 * sharpness(plate)
    assert sharpness(np.full((20, 60, 3), 90, np.uint8)) == 0.0
