"""Voting over the readings of one track, and judging what the track is."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detect_api.vision.alike import edit_distance
from detect_api.vision.evidence import MOST_SPELLINGS, Evidence, quality_of, tempered
from detect_api.vision.judge import judge
from detect_api.vision.types import Observation, Plate, UnreadTrack
from detect_api.vision.vote import vote
from tests.observations import passing, reading, sighting


def evidence(observations: Iterable[Observation]) -> Evidence:
    first, *others = observations
    gathered = Evidence.of(first)
    for observation in others:
        gathered.add(Evidence.of(observation))
    return gathered


def decide(
    observations: Iterable[Observation],
    *,
    least: float | None = None,
    sparse: bool = False,
) -> Plate | UnreadTrack | None:
    return judge(evidence(observations), 1, min_confidence=least, sparse=sparse)


def read(text: str, confidence: float = 0.95, count: int = 1) -> list[Observation]:
    return passing(text, range(count), confidence=confidence)


def sure(observations: Iterable[Observation]) -> float:
    result = vote(evidence(observations))
    assert result is not None
    return result.confidence


def test_the_majority_wins_at_each_place() -> None:
    observations = [*read("ABC123"), *read("A8C123"), *read("ABC128"), *read("ABC123")]
    result = vote(evidence(observations))
    assert result is not None
    assert result.text == "ABC123"
    assert result.confidence > 0.8


def test_a_text_that_nobody_read_as_a_whole_can_win() -> None:
    observations = [
        *(sighting(0, 300, 300, t, confidence=0.95) for t in ("XBC123", "AYC123", "ABZ123"))
    ]
    result = vote(evidence(observations))
    assert result is not None
    assert result.text == "ABC123"
    assert result.best in observations


def test_readings_of_other_length_are_aligned() -> None:
    observations = [*read("ABC123", count=3), *read("ABC1123"), *read("BC123"), *read("ABC12")]
    result = vote(evidence(observations))
    assert result is not None
    assert result.text == "ABC123"


def test_a_sharp_large_reading_outweighs_blurred_small_ones() -> None:
    poor = [
        sighting(n, 300, 300, "A8C123", height=11, width=40, sharpness=0.01, confidence=0.9)
        for n in range(3)
    ]
    good = [sighting(n, 300, 300, "ABC123", height=40, width=160) for n in range(3, 5)]
    result = vote(evidence([*poor, *good]))
    assert result is not None
    assert result.text == "ABC123"


def test_quality_grows_with_size_sharpness_and_a_level_view() -> None:
    plain = sighting(0, 300, 300, "ABC123")
    tilted = dataclasses.replace(plain, corners=((0, 0), (60, 60), (45, 75), (-15, 15)))
    assert quality_of(sighting(0, 300, 300, height=48)) > quality_of(plain)
    assert quality_of(sighting(0, 300, 300, sharpness=0.6)) > quality_of(plain)
    assert quality_of(tilted) < quality_of(plain)
    assert 0 < quality_of(plain) < 1


@settings(deadline=None)
@given(st.integers(1, 12), st.floats(0.5, 0.999))
def test_agreement_never_makes_less_sure(count: int, confidence: float) -> None:
    confidence = round(confidence, 4)
    assert sure(read("AB123CD", confidence, count + 1)) >= sure(read("AB123CD", confidence, count))


def test_disagreement_makes_less_sure() -> None:
    assert sure([*read("ABC123", count=3), *read("A8C123", count=3)]) < 0.6
    assert sure(read("ABC123", count=6)) > 0.9


def test_no_number_of_frames_makes_it_certain() -> None:
    assert sure(read("ABC123", 0.999999, 500)) < 0.99


def test_candidates_hold_the_second_opinion() -> None:
    observations = [*read("ABC123", count=3), *read("A8C123", count=2)]
    result = vote(evidence(observations))
    assert result is not None
    texts = [candidate.text for candidate in result.candidates]
    assert texts[:2] == ["ABC123", "A8C123"]
    assert len(texts) <= 5
    assert result.candidates[0].confidence == result.confidence
    place = dict(enumerate(result.characters))
    assert place[1][0] == "B"
    assert place[1][1] < place[0][1]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text("ABC123", min_size=1, max_size=12),
            st.floats(0.01, 1),
            st.floats(0, 1),
            st.floats(8, 80),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_a_vote_is_a_probability_whatever_was_read(
    readings: list[tuple[str, float, float, float]],
) -> None:
    gathered = evidence(
        sighting(n, 300, 300, text, confidence=p, sharpness=s, height=h)
        for n, (text, p, s, h) in enumerate(readings)
    )
    result = vote(gathered)
    assert len(gathered.spellings) <= MOST_SPELLINGS
    if result is None:
        assert not any(2 <= len(text) <= 10 for text in gathered.spellings)
        return
    assert 0 <= result.confidence <= 1
    assert sum(candidate.confidence for candidate in result.candidates) <= 1.0001
    assert "".join(c for c, _ in result.characters) == result.text
    assert all(result.confidence <= p + 1e-6 for _, p in result.characters)


@settings(deadline=None)
@given(st.text("ABC1", max_size=8), st.text("ABC1", max_size=8))
def test_edit_distance_is_a_distance(a: str, b: str) -> None:
    assert edit_distance(a, b) == edit_distance(b, a)
    assert abs(len(a) - len(b)) <= edit_distance(a, b) <= max(len(a), len(b))
    assert (edit_distance(a, b) == 0) is (a == b)


def test_the_proof_is_the_best_picture_that_says_the_text() -> None:
    observations = [
        sighting(0, 300, 300, "ABC123", sharpness=0.1),
        sighting(1, 300, 340, "ABC123", sharpness=0.4),
        sighting(2, 300, 380, "ABD123", sharpness=0.9, confidence=0.6),
    ]
    decided = decide(observations)
    assert isinstance(decided, Plate)
    assert decided.best == observations[1]


def test_a_car_that_is_in_one_of_the_frames_looked_at_can_be_a_plate() -> None:
    decided = decide([sighting(0, 300, 300, "ABC123", confidence=0.9)], sparse=True)
    assert isinstance(decided, Plate)
    assert (decided.text, decided.observations, decided.direction) == ("ABC123", 1, None)


def test_the_least_confidence_is_respected() -> None:
    observations = read("ABC123", 0.9, 3)
    assert isinstance(decide(observations, least=0.2), Plate)
    decided = decide(observations, least=0.999)
    assert isinstance(decided, UnreadTrack)
    assert decided.reason == "no_agreement"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"height": 9.0, "width": 30.0}, "too_small"),
        ({"sharpness": 0.005}, "blurred"),
        ({}, "no_agreement"),
    ],
)
def test_what_was_not_read_says_why(options: dict[str, Any], reason: str) -> None:
    observations = [
        observation
        for n, text in enumerate(("ABC123", "KXC12", "W8Z12", "BPC77"))
        for observation in passing(text, [n], confidence=0.4, start=(300, 100 + 30 * n), **options)
    ]
    decided = decide(observations)
    assert isinstance(decided, UnreadTrack)
    assert decided.reason == reason


@pytest.mark.parametrize("step", [(0.0, 0.0), (4.0, 12.0)])
def test_a_plate_that_gave_no_text_is_told(step: tuple[float, float]) -> None:
    decided = decide(passing(None, range(5), height=9, width=30, step=step))
    assert isinstance(decided, UnreadTrack)
    assert decided.reason == "too_small"


def test_flicker_is_not_told() -> None:
    assert decide(passing(None, range(2))) is None
    assert decide(passing("ABC123", range(1), confidence=0.8)) is None
    assert decide(passing(None, range(50), detection=0.65)) is None


@pytest.mark.parametrize("text", ["WELCOME", "LOVE", "A1", "B42", "9185914"])
def test_any_text_of_a_plate_is_one(text: str) -> None:
    decided = decide(passing(text, range(20)))
    assert isinstance(decided, Plate)
    assert decided.text == text


@pytest.mark.parametrize("text", ["A", "ABCDEFGH12345"])
def test_texts_that_no_plate_has_are_told_as_unread(text: str) -> None:
    assert isinstance(decide(passing(text, range(20))), UnreadTrack)


def test_a_short_text_must_be_sure() -> None:
    once: dict[str, Any] = {"confidence": 0.7, "sharpness": 0.6, "height": 60}
    assert isinstance(decide(passing("B42", range(1), **once), sparse=True), UnreadTrack)
    assert isinstance(decide(passing("B42FGH", range(1), **once), sparse=True), Plate)


def test_words_must_have_been_found_surely() -> None:
    assert isinstance(decide(passing("LOVE", range(20), detection=0.75)), Plate)
    assert decide(passing("PARKING", range(20), detection=0.65)) is None
    assert isinstance(decide(passing("PARK1NG", range(20), detection=0.65)), Plate)


def test_what_the_reader_refuses_is_no_plate() -> None:
    refused = [
        dataclasses.replace(o, reason="no_plate") for o in passing(None, range(20), detection=0.95)
    ]
    assert decide(refused) is None
    assert decide([*refused, *passing("ABC123", range(3))]) is None
    assert isinstance(decide([*refused[:2], *passing("ABC123", range(9))]), Plate)


def test_a_parked_car_is_a_plate() -> None:
    decided = decide(sighting(n, 640, 400, "ABC123") for n in range(300))
    assert isinstance(decided, Plate)
    assert decided.direction is None
    assert decided.observations == 300


@settings(deadline=None)
@given(st.floats(0.05, 0.995), st.floats(0.3, 0.99999), st.integers(2, 9))
def test_characters_are_as_sure_as_the_reading(whole: float, each: float, length: int) -> None:
    made = dataclasses.replace(
        reading("ABC123XYZ"[:length], round(each, 6), {1: "8"}), confidence=round(whole, 6)
    )
    fitted = tempered(made)
    own = [dict(scores.scores)[c] for c, scores in zip(made.text, fitted, strict=True)]
    assert math.prod(own) == pytest.approx(made.confidence, rel=1e-3)
    for before, after in zip(made.characters, fitted, strict=True):
        assert {c for c, _ in before.scores} == {c for c, _ in after.scores}
        assert sum(p for _, p in after.scores) <= 1 + 1e-9


@pytest.mark.parametrize("confidence", [0.5, 0.7, 0.9, 0.97])
def test_a_single_reading_is_believed_as_it_is(confidence: float) -> None:
    alone = sighting(0, 300, 300, "ABC123", sharpness=0.6, height=60)
    made = reading("ABC123", 0.9999)
    alone = dataclasses.replace(alone, reading=dataclasses.replace(made, confidence=confidence))
    assert sure([alone]) == pytest.approx(confidence, abs=0.03)


@pytest.mark.parametrize(
    ("step", "direction"),
    [((0, 20), "down"), ((0, -20), "up"), ((20, 3), "right"), ((-20, 3), "left")],
)
def test_the_direction_is_that_of_the_picture(step: tuple[float, float], direction: str) -> None:
    decided = decide(passing("ABC123", range(8), start=(400, 360), step=step))
    assert isinstance(decided, Plate)
    assert decided.direction == direction


def test_made_up_readings_are_as_the_reader_gives_them() -> None:
    made = reading("ABC8", 0.9)
    assert [scores.best[0] for scores in made.characters] == list("ABC8")
