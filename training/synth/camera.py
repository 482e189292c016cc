"""A plate as a camera sees it, cut out as detector and rectifier would cut it."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from training.synth.canvas import Image, any_colour, jitter
from training.synth.codec import jpeg, smear
from training.synth.dice import Dice
from training.synth.lens import Lens
from training.synth.light import Light, Scene, planes
from training.synth.plates import Plate

_STRENGTHS = ((0.25, 0.42), (0.6, 0.35), (1.0, 0.23))
"""How much goes wrong (1 = may be hardly legible), with its share of the samples."""
_TEXTURE = 256


@dataclass(frozen=True)
class Shot:
    """A crop before any compression, and the plate's height in it in pixels."""

    image: Image
    height: float


class Camera:
    """Photographs plates; the same plates and an equal generator give the same crops."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._dice = Dice(rng)
        self._light = Light(self._dice)
        self._lens = Lens(self._dice)
        self._textures = tuple(
            np.asarray(
                cv2.resize(
                    rng.normal(0, 1, (cells, cells)).astype(np.float32),
                    (_TEXTURE, _TEXTURE),
                    interpolation=cv2.INTER_CUBIC,
                ),
                np.float32,
            )
            for cells in (5, 12, 30, 90)
        )

    def shoot(self, plate: Plate) -> Image:
        """The crop, uint8 BGR at the camera's own resolution (plates 11 to about 100 px high)."""
        strength = self._dice.weighted(_STRENGTHS)
        shot = self.expose(plate, strength)
        return self._compress(shot, strength)

    def expose(self, plate: Plate, strength: float = 1.0, tallest: float = 64.0) -> Shot:
        """The crop before compression.

        ``strength`` 0…1 scales what goes wrong; plates are up to about ``tallest`` pixels high.
        """
        dice = self._dice
        scene, height = self._see(plate, tallest)
        if dice.chance(0.18 + 0.27 * strength):
            scene = self._light.shade(scene)
        if dice.chance(0.08 * strength):
            scene = self._light.glare(scene)
        if dice.chance(0.13 * strength):
            scene = self._light.soil(scene)
        if dice.chance(0.06 * strength):
            scene = self._light.occlude(np.ascontiguousarray(scene))
        if dice.chance(0.5):
            scene = self._lens.defocus(scene, height, strength)
        if dice.chance(0.14 * strength):
            scene = self._lens.motion(scene, height)
        if dice.chance(0.15):
            scene = self._light.night(scene)
        scene = self._lens.expose(scene, strength)
        if dice.chance(0.65):
            scene = self._lens.noise(scene, strength)
        return Shot(np.clip(scene, 0, 255).astype(np.uint8), height)

    def _compress(self, shot: Shot, strength: float) -> Image:
        dice = self._dice
        image = shot.image
        if dice.chance(0.13 * strength) and shot.height < 45:
            image = smear(dice, image, shot.height)
        if dice.chance(0.04 + 0.12 * strength):
            image = self._lens.rescale(image)
        if dice.chance(0.04 * strength):
            image = self._lens.interlace(image)
        if dice.chance(0.13):
            image = self._lens.sharpen(image)
        if dice.chance(0.7):
            low = dice.chance(0.5 * (0.3 + 0.7 * strength))
            image = jpeg(dice, image, dice.between(12, 60) if low else dice.between(60, 96))
        return image

    def _see(self, plate: Plate, tallest: float) -> tuple[Scene, float]:
        """The plate in perspective before its surroundings, and its height in pixels."""
        dice = self._dice
        rows, columns = plate.image.shape[:2]
        aspect = columns / rows
        height = dice.log_uniform(11.5, tallest)
        if dice.chance(0.1):
            height = dice.uniform(0.8, 1.4) * tallest
        if aspect < 3:
            height *= dice.uniform(1.35, 2.0)
        width = height * aspect * dice.uniform(0.82, 1.12)
        corners = self._corners(width, height)
        low, high = corners.min(axis=0), corners.max(axis=0)
        span = high - low
        left, right, above, below = self._margins()
        origin = low - np.array((left * span[0], above * span[1]))
        size = (
            max(12, round(float(span[0] * (1 + left + right)))),
            max(7, round(float(span[1] * (1 + above + below)))),
        )
        source = plate.image
        shrink = min(1.0, 1.25 * width / columns)
        if shrink < 0.85:  # warping alone would alias
            source = np.asarray(
                cv2.resize(
                    source,
                    (max(8, round(columns * shrink)), max(5, round(rows * shrink))),
                    interpolation=cv2.INTER_AREA,
                ),
                np.uint8,
            )
        tall, wide = source.shape[:2]
        frame = np.array(((0, 0), (wide, 0), (wide, tall), (0, tall)), np.float32)
        matrix = cv2.getPerspectiveTransform(frame, (corners - origin).astype(np.float32))
        scene = self._surroundings(size[0], size[1])
        cv2.warpPerspective(
            source.astype(np.float32),
            matrix,
            size,
            dst=scene,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_TRANSPARENT,
        )
        return scene, height

    def _corners(self, width: float, height: float) -> npt.NDArray[np.float64]:
        """Where the plate's corners come to lie after an imperfect rectification."""
        dice = self._dice
        usual = dice.chance(0.8)
        turn = math.radians(dice.normal(2.0) if usual else dice.uniform(-18, 18))
        shear = dice.normal(0.05 if usual else 0.15)
        bend = 0.022 if dice.chance(0.8) else 0.07
        corners = np.array(((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))) * (width, height)
        corners[:, 0] += corners[:, 1] * shear
        cosine, sine = math.cos(turn), math.sin(turn)
        corners = corners @ np.array(((cosine, sine), (-sine, cosine)))
        moves = [(dice.normal(bend) * height * 1.2, dice.normal(bend) * height) for _ in range(4)]
        moved: npt.NDArray[np.float64] = corners + np.array(moves)
        return moved

    def _margins(self) -> tuple[float, float, float, float]:
        """Room left, right, above and below, in parts of the plate's box; negative cuts into it.

        Most often about what ``detect_api.vision.crop.rectify`` leaves (0.05 and 0.1).
        """
        dice = self._dice
        roll = dice.random()
        if roll < 0.38:
            left, right = dice.normal(0.025, 0.045), dice.normal(0.025, 0.045)
            above, below = dice.normal(0.045, 0.09), dice.normal(0.045, 0.09)
            return max(-0.03, left), max(-0.03, right), max(-0.05, above), max(-0.05, below)
        sides = []
        for _ in range(4):
            if roll < 0.65:
                side = dice.normal(0.03, 0.01)
            elif roll < 0.88:
                side = dice.uniform(-0.03, 0.15)
            else:
                side = dice.uniform(-0.04, 0.28)
            sides.append(max(-0.05, side))
        return sides[0] * 0.6, sides[1] * 0.6, sides[2], sides[3]

    def _surroundings(self, width: int, height: int) -> Scene:
        """Bumper, boot lid, shadow around the plate."""
        dice = self._dice
        tone = dice.uniform(0, 230)
        colour = jitter(dice, (tone, tone, tone), dice.pick((5.0, 8.0, 12.0, 25.0, 80.0)))
        scene = np.empty((height, width, 3), np.float32)
        cv2.rectangle(scene, (0, 0), (width, height), colour, -1)
        if dice.chance(0.7) and width <= _TEXTURE and height <= _TEXTURE:
            texture = dice.pick(self._textures)
            y, x = dice.below(_TEXTURE - height + 1), dice.below(_TEXTURE - width + 1)
            scene += planes(
                texture[y : y + height, x : x + width] * np.float32(dice.uniform(2, 28))
            )
        for _ in range(dice.between(0, 3)):
            start = (dice.below(width), dice.below(height))
            end = (dice.below(width), dice.below(height))
            paint = any_colour(dice) if dice.chance(0.3) else jitter(dice, colour, 70)
            if dice.chance(0.5):
                cv2.line(scene, start, end, paint, max(1, int(dice.uniform(1, height * 0.1))))
            else:
                cv2.rectangle(scene, start, end, paint, -1)
        return scene
