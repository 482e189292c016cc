"""Builds the glyph bank from open-licence fonts and stroke fonts.

``python -m training.synth.fonts`` needs the packages of ``package-lock.json`` (``npm ci`` in this
folder) and the Debian packages that FONTS.md lists, with each font's licence.
"""

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from training.synth import words
from training.synth.dice import Dice
from training.synth.glyphs import CAP, CHARACTERS, DEFAULT_BANK, PAD, Font, GlyphBank, Mask
from training.synth.strokes import stroke_font
from training.synth.words import spaced

HERE = Path(__file__).resolve().parent
FONTSOURCE = HERE / "node_modules" / "@fontsource"
DEBIAN = (
    Path("/usr/share/fonts/truetype/opendin"),
    Path("/usr/share/fonts/truetype/roadgeek"),
    Path("/usr/share/fonts/truetype/routed-gothic"),
    Path("/usr/share/fonts/opentype/league-mono"),
)
STROKE_FONTS = 260
SEED = 20261124

# Fonts with lettering that no plate number has: for state names, slogans and dealers only.
WORDS_ONLY = frozenset(
    spaced(
        "lobster pacifico dancing-script kaushan-script courgette merriweather libre-baskerville "
        "playfair-display rye cinzel satisfy great-vibes yellowtail allura domine"
    )
)
WORD_FONTS = frozenset(
    spaced(
        "roboto-condensed barlow barlow-condensed overpass arimo fira-sans oswald montserrat "
        "source-sans-3 fjalla-one roboto-slab graduate zilla-slab"
    )
)
TAGS = {
    "din": spaced(
        "OSP-DIN barlow routed RG2014 saira rajdhani roboto-condensed share-tech oswald antonio "
        "bebas archivo-narrow asap-condensed big-shoulders league-gothic chakra encode-sans "
        "pathway fjalla khand pragati teko ibm-plex-sans-condensed fira-sans-condensed"
    ),
    "plain": spaced("OSP-DIN arimo heebo RG2014E overpass roboto- source-sans fira-sans- rubik"),
    "mono": spaced("mono LeagueMono cousine inconsolata lekton vt323 source-code"),
}
# Open Debian italics and hairlines teach nothing about plates.
_SKIP = re.compile(r"italic|Thin|Light|UltraLight|Extended|Medium|LeagueMono-(Regular|Condensed)\.")


def build(out: Path = DEFAULT_BANK) -> None:
    """Draws every font and word and writes the glyph bank to ``out``.

    Raises FileNotFoundError when the npm packages are missing.
    """
    if not FONTSOURCE.is_dir():
        raise FileNotFoundError(f"{FONTSOURCE} is missing: run npm ci in {HERE}")
    dice = Dice(np.random.default_rng(SEED))
    fonts = [font for name, data in _font_files() if (font := _load(name, data)) is not None]
    fonts += [stroke_font(dice, f"stroke{i}") for i in range(STROKE_FONTS)]
    GlyphBank(tuple(fonts), _draw_words(dice)).save(out)


def strokes_only(rng: np.random.Generator, fonts: int = 12) -> GlyphBank:
    """A small bank of stroke fonts, words included, that needs no font file."""
    dice = Dice(rng)
    drawn = tuple(stroke_font(dice, f"stroke{i}") for i in range(fonts))
    kinds = {
        kind: tuple(_spell(drawn[i % fonts], text) for i, text in enumerate(texts))
        for kind, texts in _word_lists().items()
    }
    return GlyphBank(drawn, kinds)


def _word_lists() -> dict[str, Sequence[str]]:
    return {
        "state": words.STATES,
        "slogan": words.SLOGANS,
        "dealer": words.DEALERS,
        "city": words.CITIES,
        "place": words.PLACES,
        "supplier": words.SUPPLIERS,
        "tiny": words.TINY,
        "country": words.COUNTRIES,
    }


def _font_files() -> Iterator[tuple[str, Path]]:
    for package in sorted(FONTSOURCE.iterdir()):
        if package.name in WORDS_ONLY:
            continue
        yield from ((f"{package.name}-{path.stem}", path) for path in _weights(package, (500, 700)))
    for folder in DEBIAN:
        for path in sorted(folder.glob("*.[ot]tf")):
            if not _SKIP.search(path.name):
                yield path.stem, path


def _weights(package: Path, wanted: Sequence[int]) -> list[Path]:
    """The Latin upright files whose weights are nearest to the wanted ones."""
    files = {
        int(match.group(1)): path
        for path in package.glob("files/*-latin-*-normal.woff2")
        if (match := re.search(r"-latin-(\d+)-normal$", path.stem))
    }
    nearest = {min(files, key=lambda weight: abs(weight - want)) for want in wanted}
    return [files[weight] for weight in sorted(nearest)]


def _load(name: str, path: Path) -> Font | None:
    """The font's glyphs; None for a font without usable capitals (icons, small caps only)."""
    font = ImageFont.truetype(str(path), 100)
    _, top, _, bottom = font.getbbox("H")
    if bottom - top < 20:
        return None
    font = font.font_variant(size=round(100 * 2 * CAP / (bottom - top)))
    _, top, _, bottom = font.getbbox("H")
    cap = int(bottom - top)
    pad = round(cap * PAD / CAP)
    masks: dict[str, Mask] = {}
    for character in CHARACTERS:
        left, _, right, _ = font.getbbox(character)
        image = Image.new("L", (max(4, int(right - left)) + 4, cap + 2 * pad), 0)
        ImageDraw.Draw(image).text((2 - left, pad - top), character, font=font, fill=255)
        pixels = np.asarray(image)
        columns = np.flatnonzero(pixels.max(axis=0) > 60)
        if not len(columns):
            return None
        pixels = pixels[:, max(0, int(columns[0]) - 1) : int(columns[-1]) + 2]
        rows = CAP + 2 * PAD
        width = max(3, round(pixels.shape[1] * rows / pixels.shape[0]))
        masks[character] = np.asarray(
            cv2.resize(pixels, (width, rows), interpolation=cv2.INTER_AREA), np.uint8
        )
    tags = {tag for tag, keys in TAGS.items() if any(key in name for key in keys)}
    return Font(name, frozenset(tags | {"face"}), masks)


def _draw_words(dice: Dice) -> dict[str, tuple[Mask, ...]]:
    packages = sorted(FONTSOURCE.iterdir())
    plain = [_weights(p, (600,))[0] for p in packages if p.name in WORD_FONTS]
    fancy = [_weights(p, (500,))[0] for p in packages if p.name in WORDS_ONLY]
    repeats = {"state": 6, "slogan": 3, "dealer": 3, "city": 3, "tiny": 4, "country": 3}
    shares = {"state": 0.45, "slogan": 0.3, "dealer": 0.15}
    opened: dict[Path, ImageFont.FreeTypeFont] = {}
    drawn: dict[str, tuple[Mask, ...]] = {}
    for kind, texts in _word_lists().items():
        masks: list[Mask] = []
        for text in texts:
            for _ in range(repeats.get(kind, 2)):
                path = dice.pick(fancy if dice.chance(shares.get(kind, 0.0)) else plain)
                if path not in opened:
                    opened[path] = ImageFont.truetype(str(path), 26)
                cased = text.title() if kind == "state" and dice.chance(0.5) else text
                if kind in {"slogan", "dealer"} and dice.chance(0.4):
                    cased = text.upper()
                masks.append(_write(opened[path], cased))
        drawn[kind] = tuple(masks)
    return drawn


def _write(font: ImageFont.FreeTypeFont, text: str) -> Mask:
    left, top, right, bottom = font.getbbox(text)
    image = Image.new("L", (int(right - left) + 4, int(bottom - top) + 4), 0)
    ImageDraw.Draw(image).text((2 - left, 2 - top), text, font=font, fill=255)
    return np.array(image)


def _spell(font: Font, text: str) -> Mask:
    """The text in a stroke font's capitals, half size; what it lacks is left blank."""
    blank = np.zeros((CAP + 2 * PAD, CAP // 3), np.uint8)
    row = np.hstack([np.pad(font.masks.get(c, blank), ((0, 0), (2, 2))) for c in text.upper()])
    return np.asarray(cv2.resize(row, (max(3, row.shape[1] // 2), row.shape[0] // 2)), np.uint8)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DEFAULT_BANK)
    build(parser.parse_args().out)
