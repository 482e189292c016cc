"""Reading plates, with the real model."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from detect_api.vision.read import ALPHABET, LineReader, no_plate
from detect_api.vision.types import Image
from tests.observations import drawn


@pytest.fixture(scope="module")
def reader() -> LineReader:
    return LineReader.load()


def text_of(reader: LineReader, crop: Image) -> str | None:
    (found,) = reader.read([crop])
    return None if found is None else found.text


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (("KLM 4827",), "KLM4827"),
        (("AB-123-CD",), "AB123CD"),
        (("34A·368.37",), "34A36837"),
        (("BT 482",), "BT482"),
        (("LZW", "9715"), "LZW9715"),
        (("89-C2", "203.39"), "89C220339"),
    ],
)
def test_reads_letters_and_digits_upper_row_first(
    reader: LineReader, rows: tuple[str, ...], text: str
) -> None:
    assert text_of(reader, drawn(*rows)) == text


def test_each_character_has_its_probabilities(reader: LineReader) -> None:
    (found,) = reader.read([drawn("KLM 4827")])
    assert found is not None
    assert "".join(scores.best[0] for scores in found.characters) == found.text
    for scores in found.characters:
        values = [p for _, p in scores.scores]
        assert values == sorted(values, reverse=True)
        assert sum(values) <= 1.00001
        assert {c for c, _ in scores.scores} <= set(ALPHABET)


def test_nothing_is_read_where_nothing_is_written(reader: LineReader) -> None:
    assert text_of(reader, np.full((40, 160, 3), 200, np.uint8)) in (None, "")
    assert text_of(reader, np.full((2, 3, 3), 200, np.uint8)) is None


@pytest.mark.parametrize("line", ["08:04:34", "2020-05-22", "Welcome", "www.cars.com", "TAXI"])
def test_a_clock_and_words_are_surely_no_plate(reader: LineReader, line: str) -> None:
    assert text_of(reader, drawn(line)) == ""


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        ("34A-368.37", False),
        ("RK 605 AB", False),
        ("12-34-AB", False),
        ("ls07 vzx", False),
        ("京A12345", False),
        ("12:30", True),
        ("22.05.2020", True),
        ("50 km/h", True),
        ("E-Trả trước", True),
        ("出口 3", True),
        ("GATE", True),
    ],
)
def test_what_no_plate_bears(line: str, verdict: bool) -> None:
    assert no_plate(line) is verdict


def test_what_is_read_does_not_depend_on_the_batch(reader: LineReader) -> None:
    crops = [
        drawn("KLM 4827"),
        drawn("LZW", "9715"),
        cv2.GaussianBlur(drawn("AB-123-CD"), (0, 0), 4).astype(np.uint8),
        drawn("B 1"),
        drawn("KLM 4827 XYZW 99", size=30),
        np.random.default_rng(3).integers(0, 256, (30, 90, 3), dtype=np.uint8),
    ]
    alone = [reader.read([crop])[0] for crop in crops]
    assert reader.read(crops) == alone
    assert reader.read(crops[::-1])[::-1] == alone
    assert [reader.read(crops[i:])[0] for i in range(len(crops))] == alone


def test_two_threads_read_the_same_as_one(reader: LineReader) -> None:
    crops = [drawn("KLM 4827"), drawn("LZW", "9715")]
    assert LineReader.load(threads=2).read(crops) == reader.read(crops)
