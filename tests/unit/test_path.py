"""Where a plate was: every place of an ordinary pass, enough of them for an endless one."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detect_api.vision import wire
from detect_api.vision.path import MOST_PLACES, join, path_of
from detect_api.vision.pipeline import Merge
from detect_api.vision.types import Merged, Observation, Parameters, Path, Place
from tests.observations import passing, segment, sighting


def merged(observations: list[Observation]) -> Merged:
    merge = Merge.new(Parameters())
    first = merge.advance(segment(observations), 1e6)
    rest = merge.finish()
    return Merged([*first.plates, *rest.plates], [*first.unread, *rest.unread])


def path_through(observations: list[Observation]) -> Path:
    path = path_of(observations[0])
    for observation in observations[1:]:
        join(path, path_of(observation))
    return path


def straight(path: Path, frame: int) -> tuple[float, float]:
    """The centre that a reader of the path takes for a frame: on the line between two places."""
    for a, b in itertools.pairwise(path.places):
        if a.frame <= frame <= b.frame:
            share = (frame - a.frame) / (b.frame - a.frame)
            (ax, ay), (bx, by) = a.box.center, b.box.center
            return ax + share * (bx - ax), ay + share * (by - ay)
    raise AssertionError(frame)


def test_the_path_of_a_pass_is_every_box_that_was_seen() -> None:
    seen = list(passing("ABC123", [n for n in range(40) if not 15 <= n < 22]))
    (plate,) = merged(seen).plates
    assert plate.path == Path([Place(o.frame, o.seconds, o.box) for o in seen])


def test_two_cars_keep_their_own_paths() -> None:
    right = list(passing("ABC123", range(40), start=(100, 300), step=(20, 0)))
    left = list(passing("XYZ987", range(40), start=(900, 310), step=(-20, 0)))
    both = sorted([*right, *left], key=lambda o: o.frame)
    found = {plate.text: plate.path for plate in merged(both).plates}
    for text, seen in (("ABC123", right), ("XYZ987", left)):
        assert [p.box for p in found[text].places] == [o.box for o in seen]


def test_an_unread_plate_has_its_path_too() -> None:
    seen = [sighting(n, 100 + 5 * n, 80, None) for n in range(20)]
    (unread,) = merged(seen).unread
    assert [place.frame for place in unread.path.places] == list(range(20))


@pytest.mark.parametrize("frames", [MOST_PLACES, MOST_PLACES + 1, 20_000])
def test_a_long_path_is_bounded_and_stays_near_the_truth(frames: int) -> None:
    drawn = random.Random(3)
    seen = [
        # Stands with a trembling box, drives off at half-time.
        sighting(n, 200 + drawn.uniform(-1, 1) + max(0, n - frames // 2) * 0.9, 100)
        for n in range(frames)
    ]
    path = path_through(seen)
    assert len(path.places) <= MOST_PLACES
    assert path.thinned == (frames > MOST_PLACES)
    assert (path.places[0].frame, path.places[-1].frame) == (0, frames - 1)
    assert {(p.frame, p.box) for p in path.places} <= {(o.frame, o.box) for o in seen}
    for observation in seen:
        x, y = straight(path, observation.frame)
        assert abs(x - observation.box.center[0]) < 8
        assert abs(y - observation.box.center[1]) < 8
    gaps = [b.frame - a.frame for a, b in itertools.pairwise(path.places)]
    assert max(gaps) <= max(8, 10 * frames // MOST_PLACES), "the beginning is not forgotten"


@settings(deadline=None)
@given(st.lists(st.integers(0, 60), min_size=2, unique=True), st.randoms(use_true_random=False))
def test_parts_in_any_order_give_the_same_path(frames: list[int], drawn: random.Random) -> None:
    seen = [sighting(n, 3.0 * n, 100) for n in sorted(frames)]
    cut = drawn.randrange(1, len(seen))
    mixed = sorted(seen, key=lambda o: drawn.random())
    parts = [
        path_through(sorted(part, key=lambda o: o.frame)) for part in (mixed[:cut], mixed[cut:])
    ]
    join(parts[0], parts[1])
    assert parts[0] == path_through(seen)


def test_a_path_is_kept_as_columns() -> None:
    kept = wire.path_json(path_through([sighting(n, 100.26 + n, 50, width=20) for n in (3, 4)]))
    assert kept == {
        "frames": [3, 4],
        "seconds": [0.3, 0.4],
        "boxes": [[93.3, 38.0, 113.3, 62.0], [94.3, 38.0, 114.3, 62.0]],
        "thinned": False,
    }
