"""What the detector is trained on: corners that stay exact, whatever happens to a canvas."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from training.detector.boxes import Floats, decode, detect, fitted, overlap, suppress
from training.detector.canvas import Canvases
from training.detector.damage import Damage, recorded
from training.detector.paste import PlatePaster, draw, seen
from training.detector.scenes import Scene
from training.detector.targets import Plates

EMPTY = np.zeros((0, 4), np.float32)


def plates(*boxes: tuple[float, float, float, float]) -> Plates:
    rows = np.array(boxes, np.float32).reshape(-1, 4)
    return Plates(
        corners=rows[:, [0, 1, 2, 1, 2, 3, 0, 3]],
        boxes=rows,
        visible=np.ones(len(rows), np.float32),
        trust=np.ones(len(rows), np.float32),
        ignored=EMPTY,
        open_=EMPTY,
    )


def scene(seed: int) -> Scene:
    rng = np.random.default_rng(seed)
    return Scene(
        image=rng.integers(0, 256, (240, 320, 3)).astype(np.uint8),
        boxes=np.array([[100, 100, 180, 120]], np.float32),
        corners=np.array([[100, 100, 180, 100, 180, 120, 100, 120]], np.float32),
        cornered=np.ones(1, np.bool_),
        ignored=EMPTY,
        hard=EMPTY,
        complete=True,
        weight=1.0,
    )


def test_a_drawn_plate_lies_where_its_corners_say() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        image = np.zeros((200, 300, 3), np.uint8)
        quad = seen(rng, 4.0) * 150 + [150, 100]
        draw(np.random.default_rng(4), image, np.full((50, 200, 3), 255, np.uint8), quad, 1.0)
        wanted = np.zeros((200, 300), np.uint8)
        cv2.fillPoly(wanted, [np.round((quad - 0.5) * 16).astype(np.int32)], 255, shift=4)
        drawn = image[..., 0] > 127
        # A frame may lie around it, nothing may be missing inside.
        inside = cv2.erode(wanted, np.ones((3, 3), np.uint8)) > 0
        assert drawn[inside].mean() > 0.99


def test_mirroring_keeps_the_top_left_corner_first() -> None:
    source = Canvases([scene(1)], PlatePaster([np.full((20, 80, 3), 200, np.uint8)]), Damage(0))
    for index in range(60):
        _, made = source.make(np.random.default_rng(index), 320)
        points = made.corners[made.trust > 0].reshape(-1, 4, 2)
        across = points[:, 1, 0] - points[:, 0, 0]
        along = points[:, 3, 1] - points[:, 0, 1]
        assert (across > 0).all()
        assert (along > 0).all()


def test_the_same_state_of_chance_gives_the_same_canvas() -> None:
    source = Canvases([scene(1)], PlatePaster([np.full((20, 80, 3), 200, np.uint8)]), Damage(0))
    first, second = (source.make(np.random.default_rng(5), 256) for _ in range(2))
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1].corners, second[1].corners)


def test_a_plate_cut_by_the_edge_has_the_box_of_its_visible_part_and_no_corners() -> None:
    moved = plates((10, 10, 50, 20)).moved(np.array([[1.0, 0, -20], [0, 1, 0]]), 100, 100)
    assert moved.boxes.tolist() == [[0, 10, 30, 20]]
    assert moved.visible.tolist() == [0.75]
    assert moved.trust.tolist() == [0]
    assert moved.asked().tolist() == [True]


def test_a_plate_of_which_little_is_visible_is_not_asked_for() -> None:
    moved = plates((10, 10, 50, 20)).moved(np.array([[1.0, 0, -35], [0, 1, 0]]), 100, 100)
    assert moved.asked().tolist() == [False]


def test_a_recorded_picture_is_the_same_scene() -> None:
    image = np.full((64, 96, 3), 30, np.uint8)
    image[20:40, 30:60] = 220
    seen_again = recorded(np.random.default_rng(0), image)
    assert seen_again.shape == image.shape
    assert abs(seen_again.astype(int) - image).mean() < 12


def test_overlap_of_halves() -> None:
    one = np.array([[0, 0, 10, 10]], np.float32)
    other = np.array([[5, 0, 15, 10], [20, 20, 30, 30]], np.float32)
    assert overlap(one, other)[0] == pytest.approx([1 / 3, 0])


def test_suppression_keeps_the_surer_of_two_boxes_on_one_plate() -> None:
    rows = np.zeros((3, 13), np.float32)
    rows[:, :4] = [[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]]
    rows[:, 4] = [0.6, 0.9, 0.5]
    assert suppress(rows)[:, 4].tolist() == pytest.approx([0.9, 0.5])


def test_outputs_of_a_cell_become_pixels() -> None:
    raw = np.full((8 * 4 + 4 * 2 + 2 * 1, 13), -9, np.float32)
    raw[:, 1:] = 0
    raw[32 + 5] = [2, 0.5, 0, np.log(4), 0, *[0] * 8]  # row 1, column 1 at stride 16
    (row,) = decode(raw, 64, 32, 0.5)
    assert row[:4] == pytest.approx([32 - 32, 24 - 8, 32 + 32, 24 + 8])
    assert row[5:] == pytest.approx([0, 16, 64, 16, 64, 32, 0, 32])


def test_detections_come_back_in_pixels_of_the_picture() -> None:
    image = np.zeros((480, 1280, 3), np.uint8)
    canvas, factor = fitted(image, 640)
    assert canvas.shape == (256, 640, 3)
    assert factor == 0.5

    def network(picture: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Floats:
        raw = np.full((80 * 32 + 40 * 16 + 20 * 8, 13), -9, np.float32)
        raw[:, 1:] = 0
        raw[0] = [3, *[0] * 12]
        return raw

    (row,) = detect(network, image, (640,))
    assert row[:4] == pytest.approx([0, 0, 16, 16])
