"""Which observations belong to one vehicle's pass."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest

from detect_api.vision.pipeline import Merge
from detect_api.vision.types import Merged, Observation, Parameters
from tests.observations import passing, segment, sighting


def plates(observations: Iterable[Observation], frame_skip: int = 1) -> Merged:
    merge = Merge.new(Parameters(frame_skip=frame_skip))
    first = merge.advance(segment(observations), 1e6)
    rest = merge.finish()
    return Merged([*first.plates, *rest.plates], [*first.unread, *rest.unread])


def texts(observations: Iterable[Observation], frame_skip: int = 1) -> list[str]:
    """The texts of all plates, in the order of their first frame; nothing may stay unread."""
    found = plates(observations, frame_skip)
    assert not found.unread
    ordered = sorted(found.plates, key=lambda p: (p.first_seen.frame, p.best.box.x1))
    return [plate.text for plate in ordered]


def test_one_pass_is_one_plate() -> None:
    (plate,) = plates(passing("ABC123", range(30))).plates
    assert (plate.text, plate.observations) == ("ABC123", 30)
    assert (plate.first_seen.frame, plate.last_seen.frame) == (0, 29)


@pytest.mark.parametrize("gap", [1, 5, 12, 25])
def test_a_short_gap_does_not_make_two(gap: int) -> None:
    numbers = [n for n in range(50) if not 15 <= n < 15 + gap]
    assert texts(passing("ABC123", numbers)) == ["ABC123"]


def test_a_second_pass_later_is_a_second_plate() -> None:
    again = passing("ABC123", range(200, 230))
    assert texts([*passing("ABC123", range(30)), *again]) == ["ABC123", "ABC123"]


def test_two_cars_side_by_side() -> None:
    left = passing("ABC123", range(30), start=(300, 100))
    right = passing("ABC128", range(30), start=(430, 100))
    assert texts([*left, *right]) == ["ABC123", "ABC128"]


def test_two_cars_that_cross() -> None:
    right = passing("ABC123", range(40), start=(100, 300), step=(20, 0))
    left = passing("XYZ987", range(40), start=(900, 310), step=(-20, 0))
    assert texts([*right, *left]) == ["ABC123", "XYZ987"]


def test_cars_that_cross_unseen_keep_their_texts() -> None:
    """Where they cover one another nothing is found."""
    right = passing("ABC123", range(40), start=(100, 300), step=(20, 0))
    left = passing("ABC128", range(40), start=(900, 300), step=(-20, 0))
    seen = [o for o in (*right, *left) if not 17 <= o.frame <= 23]
    assert texts(seen) == ["ABC123", "ABC128"]


@pytest.mark.parametrize("other", ["XYZ987", "ABC128"])
def test_one_car_directly_after_another_at_the_same_place(other: str) -> None:
    first = passing("ABC123", range(20))
    second = passing(other, range(24, 44))
    assert texts([*first, *second]) == ["ABC123", other]


def test_another_text_at_the_same_place_without_a_gap() -> None:
    standing = [sighting(n, 640, 400, "ABC123") for n in range(20)]
    swapped = [sighting(n, 640, 400, "XYZ987") for n in range(20, 40)]
    assert texts([*standing, *swapped]) == ["ABC123", "XYZ987"]


def test_cars_that_stop_at_one_gate_looked_at_every_few_seconds() -> None:
    cars = ("ABC123", "ABC128", "KLM482", "KLM488")
    numbers = itertools.count(0, 20)
    stops = [sighting(next(numbers), 640, 400, text) for text in cars for _ in range(2)]
    assert texts(stops, frame_skip=20) == list(cars)


def test_a_misread_frame_does_not_split_a_track() -> None:
    read = ["ABC123"] * 10 + ["A8C123"] * 2 + ["ABC123"] * 10 + ["ABC12"] + ["ABC123"] * 5
    observations = [
        o
        for n, text in enumerate(read)
        for o in passing(text, [n], start=(300 + 4 * n, 100 + 12 * n))
    ]
    assert texts(observations) == ["ABC123"]


def test_a_misread_frame_after_a_gap_is_no_second_car() -> None:
    observations = passing("ABC123", range(40))
    wrong = passing("A8C123", range(40))[20]
    seen = [o for o in observations if not 15 <= o.frame <= 20]
    assert texts([*seen, wrong]) == ["ABC123"]


def test_rows_found_apart_are_still_one_plate() -> None:
    whole = passing("LZW9715", range(0, 30, 2), width=60, height=50)
    row = [
        sighting(o.frame + 1, o.box.center[0] + 2, o.box.center[1] + 20, "9715", width=60)
        for o in whole
    ]
    assert texts([*whole, *row]) == ["LZW9715"]


def test_a_fast_small_plate_is_followed() -> None:
    fast = passing("ABC123", range(8), start=(200, 60), step=(45, 70), width=60, height=18)
    (plate,) = plates(fast).plates
    assert plate.observations == 8


@pytest.mark.parametrize("skip", [2, 5, 8])
def test_skipped_frames_are_followed(skip: int) -> None:
    car = passing("ABC123", range(0, 40, skip), start=(300, 60), step=(2, 9), fps=25)
    other = passing("XYZ987", range(0, 40, skip), start=(600, 60), step=(2, 9), fps=25)
    assert texts([*car, *other], frame_skip=skip) == ["ABC123", "XYZ987"]


def test_a_plate_seen_once_between_skipped_frames_counts() -> None:
    assert texts([sighting(20, 640, 400, "ABC123")], frame_skip=20) == ["ABC123"]


def test_a_parked_car_stays_one_plate() -> None:
    """An hour, at times behind a lorry for ten seconds, while others pass."""
    parked = [sighting(n, 640 + n % 2, 400, "ABC123", fps=1) for n in range(3600) if n % 300 > 10]
    found = plates(parked)
    assert [(plate.text, plate.observations) for plate in found.plates] == [("ABC123", len(parked))]


def test_the_state_of_an_hour_stays_small() -> None:
    merge = Merge.new(Parameters())
    sizes = []
    for minute in range(30):
        numbers = range(minute * 600, minute * 600 + 600, 3)
        parked = [
            sighting(n, 640, 400, f"ABC{n * 7919 % 1000:03}", confidence=0.6) for n in numbers
        ]
        merge.advance(segment(parked), (minute + 1) * 60)
        sizes.append(len(merge.dump()))
    assert len(merge.tracker.tracks) == 1
    assert max(sizes) < 100_000
    assert sizes[-1] < 2 * sizes[1]


def test_a_doubtful_detection_continues_a_track_and_starts_none() -> None:
    seen = passing("ABC123", range(20))
    doubtful = [sighting(o.frame, 900, 500, "XYZ987", detection=0.3) for o in seen]
    weak = passing("ABC123", range(20, 24), start=(380, 340), detection=0.3)
    (plate,) = plates([*seen, *doubtful, *weak]).plates
    assert (plate.text, plate.observations) == ("ABC123", 24)


def test_a_clock_is_no_plate() -> None:
    clock = [sighting(n, 640, 300, f"{80400 + n // 10:06}") for n in range(200)]
    assert plates(clock).plates == []


def test_a_clock_does_not_disturb_the_cars_beside_it() -> None:
    clock = [sighting(n, 640, 40, f"{80400 + n // 10:06}") for n in range(100)]
    (plate,) = plates([*clock, *passing("ABC123", range(20, 50))]).plates
    assert plate.text == "ABC123"


def test_a_car_that_waits_and_drives_on_is_one_plate() -> None:
    arrives = passing("ABC123", range(20), start=(300, 100), step=(0, 10))
    waits = [sighting(n, 300, 290, "ABC123") for n in range(20, 300)]
    leaves = passing("ABC123", range(300, 320), start=(300, 290), step=(6, 14))
    assert texts([*arrives, *waits, *leaves]) == ["ABC123"]


def test_the_same_text_twice_at_once_is_one_vehicle() -> None:
    """A lorry bears its number a second time, painted large on its side."""
    front = passing("34C12323", range(20), start=(300, 100))
    side = passing("34C12323", range(5, 18), start=(700, 160), width=180, height=40)
    assert texts([*front, *side]) == ["34C12323"]
