"""The calibrated confidence, and fitting it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detect_api.evaluation.calibrate import Sample, fit, surprise
from detect_api.vision.confidence import Calibration, Signs, shipped_calibration

CHANCES = st.floats(0, 1)
HEIGHTS = st.floats(1, 500)


@settings(deadline=None)
@given(CHANCES, CHANCES, HEIGHTS)
def test_a_likelier_text_is_trusted_more(a: float, b: float, height: float) -> None:
    low, high = sorted((a, b))
    shipped = shipped_calibration()
    weak, strong = (shipped.confidence(Signs(p, None, height)) for p in (low, high))
    assert 0 < weak <= strong < 1


@settings(deadline=None)
@given(CHANCES, HEIGHTS)
def test_agreement_is_trusted_more_than_contradiction(p: float, height: float) -> None:
    shipped = shipped_calibration()
    agreed, differed = (shipped.confidence(Signs(p, word, height)) for word in (True, False))
    assert agreed >= differed
    assert p > 0.9 or agreed > differed


def test_fitting_finds_how_far_to_trust() -> None:
    rng = random.Random(4)
    chances = [rng.uniform(0.5, 0.99) for _ in range(4000)]
    # A model that is right half as often as it says.
    known = [Sample(Signs(p, None, 32.0), rng.random() < p / 2) for p in chances]
    fitted = fit(known)
    for p in (0.6, 0.75, 0.9):
        assert fitted.confidence(Signs(p, None, 32.0)) == pytest.approx(p / 2, abs=0.05)
    assert surprise(fitted, known) < surprise(Calibration(0, 1, 0, 0, 0), known)
