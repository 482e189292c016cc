"""Finding plates, with the real model."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from detect_api.core.errors import Unavailable
from detect_api.vision import detect
from detect_api.vision.detect import PlateDetector, decode, letterbox, without_doubles
from detect_api.vision.models import shipped
from detect_api.vision.runtime import load
from detect_api.vision.track import iou
from detect_api.vision.types import Box
from tests.observations import drawn, scene


@pytest.fixture(scope="module")
def finder() -> PlateDetector:
    return PlateDetector.load()


def test_finds_each_plate_where_it_is(finder: PlateDetector) -> None:
    plate = drawn("KLM 4827", size=24)
    height, width = plate.shape[:2]
    picture = scene((plate, 200, 120), (drawn("BTR 935", size=30), 640, 400))
    (found,) = finder.detect([picture])
    assert len(found) == 2
    there = Box(200, 120, 200 + width, 120 + height)
    assert max(iou(there, detection.box) for detection in found) > 0.5
    for detection in found:
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = detection.corners
        assert ax < bx and dx < cx and ay < dy and by < cy


def test_finds_nothing_in_an_empty_scene(finder: PlateDetector) -> None:
    assert finder.detect([scene()]) == [[]]
    assert finder.detect([scene()], still=True) == [[]]


def test_finds_a_small_plate_in_a_large_picture(finder: PlateDetector) -> None:
    picture = scene((drawn("KLM 4827", size=15, margin=4), 1500, 800), width=1920, height=1080)
    (found,) = finder.detect([picture])
    assert len(found) == 1
    assert iou(found[0].box, Box(1500, 800, 1580, 821)) > 0.3


def test_the_two_rows_of_a_plate_are_one_detection(finder: PlateDetector) -> None:
    plate = drawn("KLM", "4827", size=34)
    (found,) = finder.detect([scene((plate, 300, 200))])
    assert len(found) == 1
    assert found[0].box.height > 50


def test_a_second_look_at_a_still_picture_finds_no_plate_twice(finder: PlateDetector) -> None:
    picture = scene((drawn("KLM 4827", size=30), 200, 120))
    (found,) = finder.detect([picture], still=True)
    assert len(found) == 1


def test_boxes_stay_inside_the_picture(finder: PlateDetector) -> None:
    plate = drawn("KLM 4827", size=30)
    picture = scene((plate, 200, 120))[:, : 200 + plate.shape[1] // 2]
    for detection in finder.detect([picture], still=True)[0]:
        box = detection.box
        assert 0 <= box.x1 < box.x2 <= picture.shape[1]
        assert 0 <= box.y1 < box.y2 <= picture.shape[0]


def test_what_is_found_does_not_depend_on_the_batch(finder: PlateDetector) -> None:
    pictures = [
        scene((drawn("KLM 4827", size=24), 200, 120)),
        scene((drawn("BTR 935", size=30), 640, 400), width=1280, height=720),
        scene(),
        scene((drawn("AB", "12345", size=20), 100, 50), width=640, height=360),
    ]
    alone = [finder.detect([picture])[0] for picture in pictures]
    assert finder.detect(pictures) == alone
    assert finder.detect(pictures[::-1])[::-1] == alone


def test_cells_are_decoded_by_their_stride() -> None:
    cells = np.zeros((8 * 16 + 4 * 8 + 2 * 4, 13), dtype=np.float32)
    cells[:, 0] = -9
    # The cell at column 3, row 2 of stride 16: half a stride right of its centre, 4 x 2 strides,
    # upright corners but for the lower right one.
    row = 8 * 16 + 2 * 8 + 3
    cells[row] = [2, 0.5, 0, np.log(4), np.log(2), 0, 0, 0, 0, 0.5, 0.25, 0, 0]
    (found,) = decode(cells, (64, 128), 0.4)
    assert found[0] == pytest.approx(1 / (1 + np.exp(-2)))
    assert found[1:5] == pytest.approx([32, 24, 96, 56])
    assert found[5:] == pytest.approx([32, 24, 96, 24, 112, 60, 32, 56])


def test_of_boxes_that_overlap_the_surest_is_kept() -> None:
    def row(confidence: float, x: float) -> list[float]:
        return [confidence, x, 0, x + 100, 40, *[0.0] * 8]

    rows = np.array([row(0.6, 10), row(0.9, 0), row(0.7, 200)])
    assert without_doubles(rows)[:, 0].tolist() == [0.9, 0.7]
    assert len(without_doubles(rows[:0])) == 0


def test_a_picture_is_shrunk_onto_a_canvas_of_whole_cells() -> None:
    canvas, fx, fy = letterbox(np.full((1080, 1920, 3), 9, np.uint8), 640)
    assert canvas.shape == (384, 640, 3)
    assert (fx, fy) == (3.0, 3.0)
    assert (canvas[:360] == 9).all()
    assert (canvas[360:] == detect.PADDING).all()
    small, fx, fy = letterbox(np.full((40, 100, 3), 9, np.uint8), 640)
    assert small.shape == (96, 224, 3)
    assert (fx, fy) == (0.5, 0.5)


def test_another_model_file_is_refused(tmp_path: Path) -> None:
    path, digest = shipped(detect.MODEL)
    file = tmp_path / "model.onnx"
    shutil.copy(path, file)
    with file.open("ab") as out:
        out.write(b"x")
    with pytest.raises(Unavailable, match="is pinned"):
        load(file, sha256=digest)
    with pytest.raises(Unavailable, match="cannot be read"):
        load(tmp_path / "none.onnx", sha256=digest)


def test_an_unknown_device_is_named() -> None:
    path, digest = shipped(detect.MODEL)
    with pytest.raises(Unavailable, match="DEVICE"):
        load(path, sha256=digest, device="ABACUS")


def test_onnx_runtime_finds_the_same(finder: PlateDetector) -> None:
    picture = scene((drawn("KLM 4827", size=24), 200, 120))
    (other,) = PlateDetector.load(device="onnx").detect([picture])
    (found,) = finder.detect([picture])
    assert len(other) == len(found) == 1
    assert iou(other[0].box, found[0].box) > 0.8
