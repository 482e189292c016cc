"""Light on the plate, and what lies on it: gradients, shadows, glare, dirt, night."""

import math

import cv2
import numpy as np
import numpy.typing as npt

from training.synth.canvas import any_colour, jitter
from training.synth.dice import Dice

Scene = npt.NDArray[np.float32]
"""float32 height x width x 3 BGR, 0 to 255 before clipping."""


def planes(plane: npt.NDArray[np.float32]) -> Scene:
    """One value a pixel, as three equal channels (numpy broadcasts over a last axis slowly)."""
    return np.asarray(cv2.merge((plane, plane, plane)), np.float32)


class Light:
    """Changes a scene in place or returns a new one; scenes are small crops."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self._dirt = tuple(
            np.asarray(
                cv2.resize(
                    dice.rng.normal(0, 1, (cells, cells * 2)).astype(np.float32),
                    (256, 128),
                    interpolation=cv2.INTER_CUBIC,
                ),
                np.float32,
            )
            for cells in (6, 10, 18, 36)
        )

    def _ramp(self, scene: Scene, bend: bool = False) -> npt.NDArray[np.float32]:
        """A plane from about -0.7 to 0.7 across the scene, in a random direction."""
        height, width = scene.shape[:2]
        angle = self._dice.uniform(0, 2 * math.pi)
        across = np.linspace(-0.5, 0.5, width, dtype=np.float32) * np.float32(math.cos(angle))
        down = np.linspace(-0.5, 0.5, height, dtype=np.float32) * np.float32(math.sin(angle))
        if bend:
            across = across + np.float32(self._dice.uniform(-0.8, 0.8)) * across * across
        return across[None] + down[:, None]

    def shade(self, scene: Scene) -> Scene:
        """A gradient, or the edge of a hard shadow."""
        dice = self._dice
        ramp = self._ramp(scene, bend=True)
        if dice.chance(0.55):
            gain = 1 + dice.uniform(-1.1, 1.1) * ramp
        else:
            edge, dark = dice.uniform(-0.35, 0.35), dice.uniform(0.3, 0.85)
            softness = dice.log_uniform(0.01, 0.2)
            gain = dark + (1 - dark) * np.clip((ramp - edge) / softness + 0.5, 0, 1)
        return scene * planes(gain.astype(np.float32))

    def glare(self, scene: Scene) -> Scene:
        """A bright spot: sun or a flash mirrored by the plate."""
        dice = self._dice
        height, width = scene.shape[:2]
        radius = dice.uniform(0.08, 0.35) * width
        x = (np.arange(width, dtype=np.float32) - dice.uniform(0, width)) / radius
        y = (np.arange(height, dtype=np.float32) - dice.uniform(0, height)) / (radius * 0.75)
        spot = np.exp(-(y * y))[:, None] * np.exp(-(x * x))[None]
        return scene + planes(np.float32(dice.uniform(40, 170)) * spot)

    def soil(self, scene: Scene) -> Scene:
        """Dirt, mud splashes or snow."""
        dice = self._dice
        height, width = scene.shape[:2]
        noise = dice.pick(self._dirt)
        part = cv2.resize(noise[dice.below(40) :, dice.below(80) :], (width, height))
        share = np.clip((part - dice.uniform(0.3, 1.3)) * 1.6, 0, 1) * dice.uniform(0.3, 0.9)
        tone = jitter(dice, (70, 82, 92) if dice.chance(0.85) else (225, 225, 225), 40)
        cover = np.empty_like(scene)
        cv2.rectangle(cover, (0, 0), (width, height), tone, -1)
        return scene + (cover - scene) * planes(share.astype(np.float32))

    def occlude(self, scene: Scene) -> Scene:
        """Something over an edge, a thin bar, a tow ball: characters stay mostly visible."""
        dice = self._dice
        height, width = scene.shape[:2]
        colour = any_colour(dice, 0, 200)
        form = dice.random()
        if form < 0.3:
            scene[round(height * dice.uniform(0.86, 1.0)) :] = colour
        elif form < 0.55:
            scene[: round(height * dice.uniform(0.0, 0.13))] = colour
        elif form < 0.8:
            start = (dice.below(width), dice.below(height))
            end = (dice.below(width), dice.below(height))
            cv2.line(scene, start, end, colour, max(1, round(height * 0.04)))
        else:
            centre = (dice.below(width), round(height * dice.uniform(0.9, 1.15)))
            cv2.circle(scene, centre, max(2, round(height * dice.uniform(0.08, 0.2))), colour, -1)
        return scene

    def night(self, scene: Scene) -> Scene:
        """Infrared or street light: grey, often saturated, at times with a cast."""
        dice = self._dice
        grey = cv2.cvtColor(scene, cv2.COLOR_BGR2GRAY)
        form = dice.random()
        if form < 0.4:  # a retroreflective plate in an infrared lamp's light
            low, high = np.percentile(grey, (10, 75))
            span = max(20.0, float(high - low))
            grey = (grey - np.float32(low)) * np.float32(dice.uniform(150, 330) / span)
            grey = grey + np.float32(dice.uniform(0, 60))
        if form > 0.75 or dice.chance(0.12):  # the pink and purple of a camera without its filter
            dark = np.array(
                (dice.uniform(20, 110), dice.uniform(5, 60), dice.uniform(50, 130)), np.float32
            )
            bright = np.array(
                (dice.uniform(150, 240), dice.uniform(110, 220), dice.uniform(200, 275)), np.float32
            )
            share = planes(np.clip(grey, 0, 255).astype(np.float32) / np.float32(255))
            return np.asarray(cv2.transform(share, channelwise(bright - dark, dark)), np.float32)
        return planes(grey.astype(np.float32))


def channelwise(gains: npt.NDArray[np.float32], offsets: npt.NDArray[np.float32]) -> Scene:
    """The 3 x 4 matrix for ``cv2.transform`` that scales and shifts each channel by itself."""
    return np.hstack((np.diag(gains), offsets[:, None])).astype(np.float32)
