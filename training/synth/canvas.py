"""Drawing on a plate: uint8 BGR images, colours as BGR triples of floats 0 to 255."""

import cv2
import numpy as np
import numpy.typing as npt

from training.synth.dice import Dice
from training.synth.glyphs import GlyphBank, Mask

Image = npt.NDArray[np.uint8]
Colour = tuple[float, float, float]

WHITE: Colour = (238, 238, 236)
BLACK: Colour = (20, 20, 20)
YELLOW: Colour = (35, 195, 242)
EU_BLUE: Colour = (150, 55, 10)
RED: Colour = (45, 40, 190)
GREEN: Colour = (70, 120, 30)


def jitter(dice: Dice, colour: Colour, by: float = 18.0) -> Colour:
    """The colour made lighter or darker by up to ``by``, its tint moved by a third of that."""
    light, tint = dice.uniform(-by, by), by / 3
    blue, green, red = colour
    return (
        min(255.0, max(0.0, blue + light + dice.uniform(-tint, tint))),
        min(255.0, max(0.0, green + light + dice.uniform(-tint, tint))),
        min(255.0, max(0.0, red + light + dice.uniform(-tint, tint))),
    )


def any_colour(dice: Dice, low: float = 0.0, high: float = 255.0) -> Colour:
    """A colour with each channel in the range."""
    return (dice.uniform(low, high), dice.uniform(low, high), dice.uniform(low, high))


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """``share`` of the second colour in the first."""
    blue, green, red = (a + (b - a) * share for a, b in zip(first, second, strict=True))
    return (blue, green, red)


def brightness(colour: Colour) -> float:
    """Mean of the channels, 0 to 255."""
    return sum(colour) / 3.0


def plain(height: int, width: int, colour: Colour) -> Image:
    """An image of one colour."""
    image = np.empty((height, width, 3), np.uint8)
    cv2.rectangle(image, (0, 0), (width, height), colour, -1)
    return image


def sheet(dice: Dice, height: int, width: int, colour: Colour, shade: float = 0.2) -> Image:
    """An empty plate; with chance ``shade`` its colour runs into another along one axis."""
    if not dice.chance(shade):
        return plain(height, width, colour)
    other = np.array(jitter(dice, colour, 55), np.float32)
    vertical = dice.chance(0.7)
    ramp = np.linspace(0, 1, height if vertical else width, dtype=np.float32)
    if dice.chance(0.4):
        ramp = np.abs(2 * ramp - 1)
    line = np.array(colour, np.float32) * (1 - ramp[:, None]) + other * ramp[:, None]
    strip = line.astype(np.uint8)
    strip = strip[:, None] if vertical else strip[None]
    return np.asarray(cv2.resize(strip, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def blit(
    image: Image, mask: Mask, x: float, y: float, colour: Colour, opacity: float = 1.0
) -> None:
    """Paints the colour through the mask, whose top left corner comes to (x, y); clips."""
    height, width = image.shape[:2]
    rows, columns = mask.shape
    left, top = round(x), round(y)
    x0, y0, x1, y1 = max(0, left), max(0, top), min(width, left + columns), min(height, top + rows)
    if x1 <= x0 or y1 <= y0:
        return
    alpha = mask[y0 - top : y1 - top, x0 - left : x1 - left]
    if opacity < 1.0:
        alpha = np.asarray(cv2.convertScaleAbs(alpha, alpha=opacity), np.uint8)
    # Three equal planes and OpenCV's own arithmetic: numpy takes three times as long, because its
    # inner loop would run over three channels only.
    over = cv2.merge((alpha, alpha, alpha))
    under = cv2.bitwise_not(over)
    part = image[y0:y1, x0:x1]
    paint = plain(y1 - y0, x1 - x0, colour)
    image[y0:y1, x0:x1] = cv2.add(
        cv2.multiply(part, under, scale=1 / 255), cv2.multiply(paint, over, scale=1 / 255)
    )


def word(
    bank: GlyphBank,
    dice: Dice,
    image: Image,
    kind: str,
    x: float,
    y: float,
    height: float,
    colour: Colour,
    max_width: float,
    opacity: float = 1.0,
) -> None:
    """A small word of this kind centred at (x, y), no wider than ``max_width``."""
    place_word(image, bank.word(dice, kind), x, y, height, colour, max_width, opacity)


def place_word(
    image: Image,
    mask: Mask,
    x: float,
    y: float,
    height: float,
    colour: Colour,
    max_width: float,
    opacity: float = 1.0,
) -> None:
    """The mask of a word centred at (x, y), no wider than ``max_width``."""
    if height < 2 or max_width < 2:
        return
    width = min(mask.shape[1] * height / mask.shape[0], max_width)
    small = cv2.resize(
        mask, (max(2, round(width)), max(2, round(height))), interpolation=cv2.INTER_AREA
    )
    blit(image, np.asarray(small, np.uint8), x - width / 2, y - height / 2, colour, opacity)


def box(image: Image, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
    """A filled rectangle."""
    cv2.rectangle(image, (round(x0), round(y0)), (round(x1), round(y1)), colour, -1)


def outline(
    image: Image, x0: float, y0: float, x1: float, y1: float, colour: Colour, pen: float
) -> None:
    """A rectangle's outline."""
    cv2.rectangle(image, (round(x0), round(y0)), (round(x1), round(y1)), colour, max(1, round(pen)))


def disc(
    image: Image,
    x: float,
    y: float,
    rx: float,
    ry: float,
    colour: Colour,
    pen: float = -1.0,
    turn: float = 0.0,
) -> None:
    """An ellipse, filled unless ``pen`` > 0."""
    cv2.ellipse(
        image,
        (round(x * 16), round(y * 16)),
        (max(8, round(rx * 16)), max(8, round(ry * 16))),
        turn,
        0,
        360,
        colour,
        -1 if pen < 0 else max(1, round(pen)),
        cv2.LINE_AA,
        4,
    )


def line(
    image: Image, x0: float, y0: float, x1: float, y1: float, colour: Colour, pen: float
) -> None:
    """A straight line."""
    start, end = (round(x0 * 16), round(y0 * 16)), (round(x1 * 16), round(y1 * 16))
    cv2.line(image, start, end, colour, max(1, round(pen)), cv2.LINE_AA, 4)


def polygon(image: Image, points: list[tuple[float, float]], colour: Colour) -> None:
    """A filled polygon."""
    corners = np.round(np.array(points) * 16).astype(np.int32)
    cv2.fillPoly(image, [corners], colour, cv2.LINE_AA, 4)


def polyline(image: Image, points: list[tuple[float, float]], colour: Colour, pen: float) -> None:
    """A broken line."""
    corners = np.round(np.array(points) * 16).astype(np.int32)
    cv2.polylines(image, [corners], False, colour, max(1, round(pen)), cv2.LINE_AA, 4)


def border(dice: Dice, image: Image, colour: Colour, chance: float = 0.6) -> None:
    """With this chance, the rim that most plates have."""
    if dice.chance(chance):
        height, width = image.shape[:2]
        inset = dice.uniform(0, 0.05) * height
        pen = dice.uniform(0.012, 0.045) * height
        outline(image, inset, inset, width - 1 - inset, height - 1 - inset, colour, pen)
