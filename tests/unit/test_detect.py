"""Finding plates, with the real model."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from detect_api.core.errors import Unavailable
from detect_api.vision import detect
from detect_api.vision.detect import Line, TextFinder, pair_rows, plate_shaped
from detect_api.vision.runtime import load
from detect_api.vision.track import iou
from detect_api.vision.types import Box
from tests.observations import drawn, scene


@pytest.fixture(scope="module")
def finder() -> TextFinder:
    return TextFinder.load()


def line(x1: float, y1: float, x2: float, y2: float, score: float = 0.9) -> Line:
    return Line(np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], dtype=np.float32), score)


def test_finds_each_plate_where_it_is(finder: TextFinder) -> None:
    plate = drawn("KLM 4827", size=24)
    height, width = plate.shape[:2]
    picture = scene((plate, 200, 120), (drawn("BTR 935", size=30), 640, 400))
    found = finder.detect([picture])[0]
    assert len(found) == 2
    there = Box(200, 120, 200 + width, 120 + height)
    assert max(iou(there, detection.box) for detection in found) > 0.5
    for detection in found:
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = detection.corners
        assert ax < bx and dx < cx and ay < dy and by < cy


def test_finds_nothing_in_an_empty_scene(finder: TextFinder) -> None:
    assert finder.detect([scene()]) == [[]]


def test_finds_a_tiny_plate_by_its_second_look(finder: TextFinder) -> None:
    picture = scene((drawn("KLM 4827", size=15, margin=4), 1500, 800), width=1920, height=1080)
    (found,) = finder.detect([picture])
    assert found
    assert iou(found[0].box, Box(1500, 800, 1580, 821)) > 0.3


def test_the_two_rows_of_a_plate_are_one_detection(finder: TextFinder) -> None:
    plate = drawn("KLM", "4827", size=34)
    (found,) = finder.detect([scene((plate, 300, 200))])
    assert len(found) == 1
    assert found[0].box.height > 50


def test_what_is_found_does_not_depend_on_the_batch(finder: TextFinder) -> None:
    pictures = [
        scene((drawn("KLM 4827", size=24), 200, 120)),
        scene((drawn("BTR 935", size=30), 640, 400), width=1280, height=720),
        scene(),
        scene((drawn("AB", "12345", size=20), 100, 50), width=640, height=360),
    ]
    alone = [finder.detect([picture])[0] for picture in pictures]
    assert finder.detect(pictures) == alone
    assert finder.detect(pictures[::-1])[::-1] == alone


def test_a_line_over_the_whole_picture_is_no_plate() -> None:
    assert not plate_shaped(line(10, 200, 950, 320), 960, 540)
    assert not plate_shaped(line(10, 200, 500, 230), 960, 540)
    assert not plate_shaped(line(10, 200, 60, 206), 960, 540)
    assert plate_shaped(line(10, 200, 130, 230), 960, 540)


def test_only_rows_that_fit_are_stacked() -> None:
    assert len(pair_rows([line(100, 100, 160, 130), line(95, 132, 170, 162)])) == 1
    assert len(pair_rows([line(100, 100, 160, 130), line(95, 180, 170, 210)])) == 2
    assert len(pair_rows([line(100, 100, 160, 130), line(200, 100, 260, 130)])) == 2
    assert len(pair_rows([line(100, 100, 160, 130), line(40, 132, 340, 162)])) == 2


def test_another_model_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    shutil.copy(detect.rapidocr_model(detect.MODEL), file)
    with file.open("ab") as out:
        out.write(b"x")
    with pytest.raises(Unavailable, match="is pinned"):
        load(file, sha256=detect.MODEL_SHA256)
    with pytest.raises(Unavailable, match="cannot be read"):
        load(tmp_path / "none.onnx", sha256=detect.MODEL_SHA256)


def test_an_unknown_device_is_named() -> None:
    path = detect.rapidocr_model(detect.MODEL)
    with pytest.raises(Unavailable, match="DEVICE"):
        load(path, sha256=detect.MODEL_SHA256, device="ABACUS")


def test_onnx_runtime_finds_the_same(finder: TextFinder) -> None:
    picture = scene((drawn("KLM 4827", size=24), 60, 60), width=320, height=192)
    (other,) = TextFinder.load(device="onnx").detect([picture])
    (found,) = finder.detect([picture])
    assert len(other) == len(found) == 1
    assert iou(other[0].box, found[0].box) > 0.9
