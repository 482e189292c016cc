"""National formats: what they accept, and how far they may change a reading."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detect_api.vision.ctc import ALPHABET
from detect_api.vision.formats import ANYWHERE, THERE, formats, weight

TEXTS = st.text(alphabet=ALPHABET, max_size=12)
REGIONS = st.one_of(st.none(), st.sampled_from(["de", "us", "us-ca", "eu", "br", "nowhere", ""]))


@settings(deadline=None)
@given(TEXTS, REGIONS)
def test_a_format_is_a_hint_with_a_bound(text: str, region: str | None) -> None:
    assert 1 <= weight(text, region) <= ANYWHERE * THERE


@settings(deadline=None)
@given(TEXTS, st.sampled_from(sorted(formats().regions)))
def test_what_fits_a_region_fits_the_world(text: str, code: str) -> None:
    assert formats().world.fits(text) >= formats().regions[code].fits(text)


@pytest.mark.parametrize(
    ("region", "right", "wrong"),
    [
        ("de", "BO53", "B053"),
        ("fr", "AB123CD", "AB123C0"),
        ("gb", "LS07VZX", "LSO7VZX"),
        ("it", "FB123DD", "FB1230D"),
        ("pl", "WO12345", "W012345"),
        ("br", "FZB9581", "FZB958I"),
        ("br", "BRA2E19", "BRAZE19"),
        ("us-ca", "5TGN556", "5IGN556"),
        ("us-tx", "BFN8484", "BFNB484"),
        ("in", "MH20DV2366", "MHZODV2366"),
        ("ru", "A123BC77", "AI23BC77"),
        ("ua", "AA1234BB", "AAI234BB"),
        ("il", "1234567", "I234567"),
        ("vn", "34A36837", "3AA36837"),
        ("pk", "LZW9715", "LZ97715A"),
        ("eu", "AB123CD", "AB1Z3CD"),
    ],
)
def test_the_place_decides_between_look_alikes(region: str, right: str, wrong: str) -> None:
    assert weight(right, region) > weight(wrong, region)


def test_a_region_goes_by_code_group_part_or_another_name() -> None:
    known = formats().known
    assert known("DE") == known(" de ") == ("de",)
    assert known("uk") == known("gb") == ("gb",)
    assert "fr" in known("eu")
    assert "us-ca" in known("us")
    assert known("us_ca") == known("US-CA") == ("us-ca",)
    assert known("de-by") == ("de",), "a part that is not listed is its country"
    assert known("nowhere") == known("") == ()


@settings(deadline=None)
@given(TEXTS)
def test_an_unknown_region_says_no_more_than_none(text: str) -> None:
    assert weight(text, "nowhere") == weight(text)


def test_every_format_names_its_source_and_takes_texts_of_the_alphabet() -> None:
    for code, region in formats().regions.items():
        assert region.source, code
        for pattern in (region.common.pattern, region.rare.pattern):
            assert not set(pattern) & set("@#"), code
    for codes in formats().groups.values():
        assert set(codes) <= set(formats().regions)
    for name, code in formats().aliases.items():
        assert name not in formats().regions
        assert formats().known(code)
