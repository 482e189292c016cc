"""Reading plates, with the real models."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from detect_api.vision.ctc import ALPHABET
from detect_api.vision.formats import weight
from detect_api.vision.general import GeneralReader
from detect_api.vision.read import SURE, PlateReader
from detect_api.vision.types import Image
from tests.observations import drawn


@pytest.fixture(scope="module")
def reader() -> PlateReader:
    return PlateReader.load()


def crop_of(*rows: str, size: int = 48) -> Image:
    """A drawn plate with the margin that ``rectify`` leaves."""
    plate = drawn(*rows, size=size)
    y, x = round(plate.shape[0] * 0.1), round(plate.shape[1] * 0.05)
    framed = cv2.copyMakeBorder(plate, y, y, x, x, cv2.BORDER_CONSTANT, value=(60, 60, 60))
    return framed.astype(np.uint8)


def text_of(reader: PlateReader, crop: Image, *, still: bool = True) -> str | None:
    (found,) = reader.read([crop], still=still)
    return None if found is None else found.text


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (("KLM 4827",), "KLM4827"),
        (("AB-123-CD",), "AB123CD"),
        (("34A·368.37",), "34A36837"),
        (("BT 482",), "BT482"),
        (("KLM", "4827"), "KLM4827"),
        (("89-C2", "203.39"), "89C220339"),
    ],
)
def test_reads_letters_and_digits_upper_row_first(
    reader: PlateReader, rows: tuple[str, ...], text: str
) -> None:
    assert text_of(reader, crop_of(*rows)) == text


def test_each_character_has_its_probabilities(reader: PlateReader) -> None:
    (found,) = reader.read([crop_of("KLM 4827")])
    assert found is not None
    assert "".join(scores.best[0] for scores in found.characters) == found.text
    for scores in found.characters:
        values = [p for _, p in scores.scores]
        assert values == sorted(values, reverse=True)
        assert sum(values) <= 1.00001
        assert {c for c, _ in scores.scores} <= set(ALPHABET)


def test_the_text_is_the_first_candidate_and_none_is_surer(reader: PlateReader) -> None:
    blurred = cv2.GaussianBlur(crop_of("OB8 O0I1"), (0, 0), 5).astype(np.uint8)
    for found in reader.read([crop_of("KLM 4827"), blurred], still=True):
        assert found is not None
        assert found.candidates[0].text == found.text
        assert found.candidates[0].confidence == found.confidence
        chances = [candidate.confidence for candidate in found.candidates]
        assert chances == sorted(chances, reverse=True)
        assert sum(chances) <= 1.00001


def test_nothing_is_told_where_nothing_is_written(reader: PlateReader) -> None:
    for crop in (np.full((40, 160, 3), 200, np.uint8), np.full((2, 3, 3), 200, np.uint8)):
        (found,) = reader.read([crop], still=True)
        assert found is None or len(found.text) < 4 or found.confidence < 0.5


def test_a_region_shifts_the_odds_by_what_its_formats_weigh(reader: PlateReader) -> None:
    blurred = cv2.GaussianBlur(crop_of("BOO 0I1"), (0, 0), 3).astype(np.uint8)
    (plain,) = reader.examine([blurred])
    (there,) = reader.examine([blurred], region="cy")
    before, after = dict(plain.texts), dict(there.texts)
    assert set(before) == set(after)
    assert len(before) > 1
    first = plain.texts[0][0]
    for text, chance in before.items():
        shift = weight(text, "cy") / weight(text) * weight(first) / weight(first, "cy")
        assert after[text] / after[first] == pytest.approx(chance / before[first] * shift)


def test_a_plate_that_fits_no_format_is_read_as_it_is(reader: PlateReader) -> None:
    assert text_of(reader, crop_of("K4L4M4L")) == "K4L4M4L"
    (found,) = reader.read([crop_of("K4L4M4L")], region="de")
    assert found is not None
    assert found.text == "K4L4M4L"


def test_what_is_read_does_not_depend_on_the_batch(reader: PlateReader) -> None:
    crops = [
        crop_of("KLM 4827"),
        crop_of("LZW", "9715"),
        cv2.GaussianBlur(crop_of("AB-123-CD"), (0, 0), 4).astype(np.uint8),
        crop_of("B 1"),
        crop_of("KLM 4827 XYZW 99", size=30),
        np.random.default_rng(3).integers(0, 256, (30, 90, 3), dtype=np.uint8),
    ]
    for still in (False, True):
        alone = [reader.read([crop], still=still)[0] for crop in crops]
        assert reader.read(crops, still=still) == alone
        assert reader.read(crops[::-1], still=still)[::-1] == alone
        assert [reader.read(crops[i:], still=still)[0] for i in range(len(crops))] == alone


def test_two_threads_read_the_same_as_one(reader: PlateReader) -> None:
    crops = [crop_of("KLM 4827"), crop_of("KLM", "4827")]
    one, two = reader.read(crops), PlateReader.load(threads=2).read(crops)
    assert [r and r.text for r in two] == [r and r.text for r in one]


def test_doubtful_crops_get_a_second_opinion_and_sure_ones_none(reader: PlateReader) -> None:
    blurred = cv2.GaussianBlur(crop_of("AB-123-CD"), (0, 0), 6).astype(np.uint8)
    sure, doubtful = reader.examine([crop_of("KLM 4827"), blurred], still=True)
    assert sure.signs.agreed is None
    assert sure.texts[0][1] >= SURE
    assert doubtful.signs.agreed is not None or doubtful.texts[0][1] >= SURE


@pytest.mark.parametrize(
    ("rows", "text"),
    [(("KLM 4827",), "KLM4827"), (("34A·368.37",), "34A36837"), (("LZW", "9715"), "LZW9715")],
)
def test_the_general_recogniser_reads_plates_too(rows: tuple[str, ...], text: str) -> None:
    opinion = GeneralReader.load().read(drawn(*rows))
    assert opinion.text == text
    assert opinion.confidence > 0.8


def test_the_general_recogniser_may_have_no_opinion() -> None:
    opinion = GeneralReader.load().read(np.full((40, 160, 3), 200, np.uint8))
    assert (opinion.text, opinion.confidence) == ("", 0.0)
