"""From steps to texts: the beam search against the definition."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detect_api.vision import ctc
from detect_api.vision.ctc import ALPHABET, Steps


def steps_of(*rows: dict[str, float]) -> Steps:
    """Steps with these probabilities; what is left of each is the blank's."""
    steps = np.zeros((len(rows), 37), dtype=np.float32)
    for step, row in zip(steps, rows, strict=True):
        for character, probability in row.items():
            step[ALPHABET.index(character) + 1] = probability
        step[0] = 1 - sum(row.values())
    return steps


@st.composite
def few_steps(draw: st.DrawFn) -> Steps:
    """Up to four steps over the blank, A, B and 1."""
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        a, b, one, blank = (draw(st.integers(1, 20)) for _ in range(4))
        total = a + b + one + blank
        rows.append({"A": a / total, "B": b / total, "1": one / total})
    return steps_of(*rows)


def by_definition(steps: Steps) -> dict[str, float]:
    """Every way through the steps, each collapsed to its text."""
    totals: dict[str, float] = {}
    kinds = [0, *(ALPHABET.index(c) + 1 for c in "AB1")]
    for path in itertools.product(kinds, repeat=len(steps)):
        text = "".join(ALPHABET[kind - 1] for kind, _ in itertools.groupby(path) if kind)
        chance = math.prod(float(step[kind]) for step, kind in zip(steps, path, strict=True))
        totals[text] = totals.get(text, 0.0) + chance
    return totals


@settings(deadline=None)
@given(few_steps())
def test_a_wide_search_finds_the_exact_probabilities(steps: Steps) -> None:
    expected = by_definition(steps)
    found = ctc.texts(steps, width=500)
    assert {text for text, _ in found} == set(expected)
    for text, probability in found:
        assert probability == pytest.approx(expected[text], rel=1e-5)


@settings(deadline=None)
@given(few_steps(), st.integers(1, 8))
def test_a_narrow_search_never_claims_too_much(steps: Steps, width: int) -> None:
    expected = by_definition(steps)
    found = ctc.texts(steps, width=width)
    assert 1 <= len(found) <= width
    assert [p for _, p in found] == sorted((p for _, p in found), reverse=True)
    for text, probability in found:
        assert probability <= expected[text] * (1 + 1e-5)


@settings(deadline=None)
@given(few_steps())
def test_each_character_of_a_found_text_has_its_scores(steps: Steps) -> None:
    for text, _ in ctc.texts(steps):
        scores = ctc.characters(steps, text)
        assert len(scores) == len(text)
        for entry in scores:
            values = [p for _, p in entry.scores]
            assert values == sorted(values, reverse=True)
            assert math.fsum(values) <= 1.00001


def test_a_character_twice_in_a_row_needs_a_blank_between() -> None:
    sure = {"A": 0.99}
    assert ctc.texts(steps_of(sure, sure))[0][0] == "A"
    assert ctc.texts(steps_of(sure, {}, sure))[0][0] == "AA"
    assert len(ctc.characters(steps_of(sure, {}, sure), "AA")) == 2


def test_scores_come_from_the_steps_of_their_character() -> None:
    steps = steps_of({"K": 0.9}, {}, {"O": 0.6, "0": 0.3}, {"O": 0.5, "0": 0.45}, {}, {"7": 1.0})
    k, o, seven = ctc.characters(steps, "KO7")
    assert k.scores == (("K", 0.9),)
    assert dict(o.scores) == pytest.approx({"O": 0.6 / 1.05, "0": 0.45 / 1.05}, abs=1e-5)
    assert seven.best == ("7", 1.0)
    other = ctc.characters(steps, "K07")[1]  # not the best path: aligned by Viterbi
    assert dict(other.scores) == dict(o.scores)


def test_a_text_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        ctc.characters(steps_of({"A": 0.5}, {"A": 0.5}), "AA")
