"""Synthetic plates: exact truth, the promised shapes, the same plates from the same seed."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from training.synth.camera import Camera
from training.synth.dice import Dice
from training.synth.fonts import strokes_only
from training.synth.glyphs import CAP, CHARACTERS, PAD, GlyphBank
from training.synth.plates import LAYOUTS, PlateMaker
from training.synth.samples import SampleSource, stretch
from training.synth.serials import fill, text_of
from training.synth.video import Mosaic, damage

LAYOUT_NAMES = [layout.__name__ for group in LAYOUTS.values() for layout, _ in group]


@pytest.fixture(scope="module")
def glyphs() -> GlyphBank:
    return strokes_only(np.random.default_rng(7), fonts=6)


@pytest.mark.parametrize("name", LAYOUT_NAMES)
def test_every_layout_draws_plates_with_a_text_a_reader_can_give(
    glyphs: GlyphBank, name: str
) -> None:
    maker = PlateMaker(glyphs, np.random.default_rng(1))
    for _ in range(20):
        plate = maker.plate(name)
        assert plate.layout == name
        assert re.fullmatch("[A-Z0-9]{3,10}", plate.text)
        assert plate.rows in (1, 2)
        assert plate.image.dtype == np.uint8
        assert plate.image.ndim == 3
        assert plate.image.shape[2] == 3
        assert float(plate.image.std()) > 5


def test_equal_generators_give_equal_samples(glyphs: GlyphBank) -> None:
    first, second = SampleSource(5, glyphs), SampleSource(5, glyphs)
    for _ in range(60):  # enough to reach crops that went through a video codec
        (crop, text), (other_crop, other_text) = first.sample(), second.sample()
        assert text == other_text
        assert np.array_equal(crop, other_crop)


def test_samples_become_the_readers_input(glyphs: GlyphBank) -> None:
    source = SampleSource(6, glyphs)
    for _ in range(60):
        crop, _ = source.sample()
        stretched = stretch(crop)
        assert stretched.shape == (64, 160, 3)
        assert stretched.dtype == np.uint8


def test_a_video_codec_leaves_each_crop_in_its_place(glyphs: GlyphBank) -> None:
    maker, camera = PlateMaker(glyphs, np.random.default_rng(2)), Camera(np.random.default_rng(3))
    mosaic = Mosaic()
    while mosaic.add(camera.expose(maker.plate(), 0.3).image):
        pass
    for seed in range(6):
        damaged = damage(Dice(np.random.default_rng(seed)), mosaic)
        assert [crop.shape for crop in damaged] == [crop.shape for crop in mosaic.crops]
        for before, after in zip(mosaic.crops, damaged, strict=True):
            assert abs(float(before.mean()) - float(after.mean())) < 25


def test_a_glyph_bank_comes_back_from_its_file(glyphs: GlyphBank, tmp_path: Path) -> None:
    path = tmp_path / "glyphs.npz"
    glyphs.save(path)
    loaded = GlyphBank.load(path)
    assert [font.name for font in loaded.fonts] == [font.name for font in glyphs.fonts]
    for font, same in zip(glyphs.fonts, loaded.fonts, strict=True):
        assert font.tags == same.tags
        for character in CHARACTERS:
            assert font.masks[character].shape[0] == CAP + 2 * PAD
            assert np.array_equal(font.masks[character], same.masks[character])
    assert {kind: len(words) for kind, words in loaded.words.items()} == {
        kind: len(words) for kind, words in glyphs.words.items()
    }


def test_separators_are_not_text() -> None:
    dice = Dice(np.random.default_rng(4))
    for _ in range(50):
        shown = fill(dice, "LL~DD-XX.l D")
        assert re.fullmatch("[A-Z]{2}~[0-9]{2}-[A-Z0-9]{2}[.][A-HJ-NPR-Z] [0-9]", shown)
        assert re.fullmatch("[A-Z0-9]{8}", text_of(shown))


def test_an_unknown_layout_is_refused(glyphs: GlyphBank) -> None:
    with pytest.raises(KeyError):
        PlateMaker(glyphs, np.random.default_rng(1)).plate("atlantis")
