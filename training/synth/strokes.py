"""Parametric stroke fonts: plate lettering that no open font has, drawn from skeletons.

A style fixes proportions (narrow, wide, thin, heavy, round, boxy) and which form of each character
is used (serif I, slashed 0, open-top 4, flat-top 3...), so that a thousand styles look like the
dies of a thousand plate works.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from training.synth.dice import Dice
from training.synth.glyphs import CAP, PAD, Font, Mask
from training.synth.skeletons import Stroke, skeletons

_SCALE = 2
"""Glyphs are drawn at twice their size and shrunk."""


@dataclass(frozen=True)
class Style:
    """Proportions of one stroke font, in parts of the capital's height."""

    width: float
    weight: float
    corner: float
    """Radius of the corners; ≥ width/2 makes ellipses of rounded rectangles."""
    bend: float
    """Bézier handle: 0.55 is a circle's arc, more is squarer."""


FAMILIES: tuple[tuple[str, float], ...] = (
    ("us", 0.34),
    ("din", 0.22),
    ("fe", 0.10),
    ("mandatory", 0.12),
    ("free", 0.22),
)


def stroke_font(dice: Dice, name: str) -> Font:
    """A new stroke font; its tags are ``stroke`` and the family."""
    family = dice.weighted(FAMILIES)
    style = _style(dice, family)
    drawn = skeletons(dice, family)
    masks = {
        character: _draw(strokes, width, style) for character, (strokes, width) in drawn.items()
    }
    return Font(name, frozenset({"stroke", family}), masks)


def _style(dice: Dice, family: str) -> Style:
    if family == "us":  # tall, narrow, round ends, rounded rectangles
        return Style(
            dice.uniform(0.40, 0.54),
            dice.uniform(0.10, 0.165),
            dice.uniform(0.12, 0.45),
            dice.uniform(0.5, 0.75),
        )
    if family == "din":
        return Style(
            dice.uniform(0.46, 0.60),
            dice.uniform(0.11, 0.17),
            dice.uniform(0.22, 0.5),
            dice.uniform(0.5, 0.6),
        )
    if family == "fe":
        return Style(
            dice.uniform(0.50, 0.62),
            dice.uniform(0.11, 0.15),
            dice.uniform(0.16, 0.4),
            dice.uniform(0.5, 0.7),
        )
    if family == "mandatory":  # wide and heavy: UK, Brazil
        return Style(
            dice.uniform(0.55, 0.70),
            dice.uniform(0.15, 0.21),
            dice.uniform(0.2, 0.5),
            dice.uniform(0.5, 0.62),
        )
    return Style(
        dice.uniform(0.38, 0.85),
        dice.uniform(0.07, 0.22),
        dice.uniform(0.03, 0.6),
        dice.uniform(0.4, 0.85),
    )


def _draw(strokes: list[Stroke], width: float, style: Style) -> Mask:
    cap, pad = CAP * _SCALE, PAD * _SCALE
    pen = max(3, round(style.weight * cap))
    inner_w = max(1.0, style.width * width * cap - pen)
    inner_h = cap - pen
    side = pen + 4 + int(0.15 * cap)
    canvas = np.zeros((cap + 2 * pad, int(inner_w) + 2 * side), np.uint8)
    for stroke in strokes:
        points = np.array([(x * inner_w, y * inner_h) for x, y, *_ in stroke.points])
        factors = [point[2] if len(point) > 2 else 1.0 for point in stroke.points]
        path = _rounded(points, factors, style.corner * cap, style.bend, stroke.closed)
        path += (side, pad + pen / 2)
        cv2.polylines(
            canvas,
            [np.round(path * 16).astype(np.int32).reshape(-1, 1, 2)],
            stroke.closed,
            255,
            pen,
            cv2.LINE_AA,
            4,
        )
    columns = np.flatnonzero(canvas.max(axis=0) > 60)
    canvas = canvas[:, max(0, int(columns[0]) - 1) : int(columns[-1]) + 2]
    size = (max(3, round(canvas.shape[1] / _SCALE)), CAP + 2 * PAD)
    return np.asarray(cv2.resize(canvas, size, interpolation=cv2.INTER_AREA), np.uint8)


def _rounded(
    points: npt.NDArray[np.float64],
    factors: list[float],
    radius: float,
    bend: float,
    closed: bool,
) -> npt.NDArray[np.float64]:
    """The polyline with its corners replaced by cubic Bézier arcs."""
    count = len(points)
    result: list[npt.NDArray[np.float64]] = []
    t = np.linspace(0.0, 1.0, 8)[:, None]
    for i in range(count):
        if not closed and i in (0, count - 1):
            result.append(points[i][None])
            continue
        before, corner, after = points[i - 1], points[i], points[(i + 1) % count]
        reach = radius * factors[i]
        # Two neighbouring arcs share a side half and half; an end of the line needs no share.
        share_in = 0.98 if not closed and i == 1 else 0.5
        share_out = 0.98 if not closed and i == count - 2 else 0.5
        start = _towards(corner, before, reach, share_in)
        end = _towards(corner, after, reach, share_out)
        if reach < 0.5:
            result.append(corner[None])
            continue
        first = start + (corner - start) * bend
        second = end + (corner - end) * bend
        arc = (
            (1 - t) ** 3 * start
            + 3 * (1 - t) ** 2 * t * first
            + 3 * (1 - t) * t**2 * second
            + t**3 * end
        )
        result.append(arc)
    return np.concatenate(result)


def _towards(
    corner: npt.NDArray[np.float64], other: npt.NDArray[np.float64], reach: float, share: float
) -> npt.NDArray[np.float64]:
    side = other - corner
    length = float(np.hypot(side[0], side[1]))
    if length == 0.0:
        return corner
    result: npt.NDArray[np.float64] = corner + side * (min(reach, length * share) / length)
    return result
