"""Lens, sensor and the camera's own picture processing."""

import math

import cv2
import numpy as np

from training.synth.canvas import Image
from training.synth.dice import Dice
from training.synth.light import Scene, channelwise, planes


class Lens:
    """Blur, exposure, noise, scaling, sharpening."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self._grain = dice.rng.normal(0, 1, (512, 512, 3)).astype(np.float32)

    def defocus(self, scene: Scene, height: float, strength: float) -> Scene:
        """Gaussian blur in proportion to the plate's height in pixels."""
        sigma = max(0.25, height / 48 * self._dice.uniform(0.2, 0.5 + 0.95 * strength))
        return np.asarray(cv2.GaussianBlur(scene, (0, 0), sigma), np.float32)

    def motion(self, scene: Scene, height: float) -> Scene:
        """Blur along a line, mostly level or upright."""
        dice = self._dice
        length = dice.uniform(2, max(3.0, height * 0.18))
        angle = dice.pick((0.0, 0.0, math.pi / 2, dice.uniform(0, math.pi)))
        size = int(length) | 1
        kernel = np.zeros((size, size), np.float32)
        middle, reach = size / 2 - 0.5, length / 2
        dx, dy = math.cos(angle) * reach, math.sin(angle) * reach
        cv2.line(
            kernel,
            (round((middle - dx) * 16), round((middle - dy) * 16)),
            (round((middle + dx) * 16), round((middle + dy) * 16)),
            1.0,
            1,
            cv2.LINE_8,
            4,
        )
        kernel[size // 2, size // 2] = 1.0
        return np.asarray(cv2.filter2D(scene, -1, kernel / kernel.sum()), np.float32)

    def expose(self, scene: Scene, strength: float) -> Scene:
        """Contrast, brightness, gamma, white balance."""
        dice = self._dice
        roll = dice.random()
        if roll < 0.6:
            contrast = dice.uniform(0.75, 1.2)
        elif roll < 0.6 + 0.3 * max(0.4, strength):
            contrast = dice.uniform(0.25, 0.75)
        else:
            contrast = dice.uniform(1.1, 1.9)
        mean = float(scene.mean())
        level = mean
        if dice.chance(0.65):
            level = dice.uniform(60, 190) if dice.chance(0.65) else dice.uniform(18, 240)
        cast = 0.09 if dice.chance(0.85) else 0.25
        gains = np.array(
            [dice.uniform(1 - cast, 1 + cast), 1.0, dice.uniform(1 - cast, 1 + cast)], np.float32
        )
        lift = np.float32(level - mean * contrast)
        scene = np.asarray(
            cv2.transform(scene, channelwise(gains * np.float32(contrast), gains * lift)),
            np.float32,
        )
        if dice.chance(0.25):
            gamma = dice.log_uniform(0.55, 1.8)
            scene = np.float32(255) * (np.clip(scene, 0, 255) / np.float32(255)) ** np.float32(
                gamma
            )
        return scene

    def noise(self, scene: Scene, strength: float) -> Scene:
        """Sensor noise, grey or coloured, at times coarse."""
        dice = self._dice
        height, width = scene.shape[:2]
        sigma = dice.uniform(1, 1 + 8 * strength)
        if dice.chance(0.15 * strength):
            sigma = dice.uniform(8, 20)
        if height > 500 or width > 500:
            return scene
        y, x = dice.below(512 - height), dice.below(512 - width)
        grain = self._grain[y : y + height, x : x + width]
        if dice.chance(0.45):
            grain = planes(grain[..., 0])
        if dice.chance(0.25):
            grain = np.asarray(cv2.blur(grain, (2, 2)), np.float32) * np.float32(2)
        return scene + grain * np.float32(sigma)

    def rescale(self, image: Image) -> Image:
        """Down and up again: digital zoom, a decoder's scaler."""
        dice = self._dice
        height, width = image.shape[:2]
        share = dice.uniform(0.42, 0.85)
        small = cv2.resize(
            image,
            (max(8, round(width * share)), max(5, round(height * share))),
            interpolation=cv2.INTER_AREA,
        )
        way = dice.pick((cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_CUBIC, cv2.INTER_NEAREST))
        return np.asarray(cv2.resize(small, (width, height), interpolation=way), np.uint8)

    def interlace(self, image: Image) -> Image:
        """Every second line comes from another moment."""
        dice = self._dice
        shift = dice.pick((-2, -1, 1, 2))
        combed = image.copy()
        combed[1::2] = np.roll(image, shift, axis=1)[1::2]
        if dice.chance(0.4):  # one field, doubled
            combed[1::2] = combed[0::2][: combed[1::2].shape[0]]
        return combed

    def sharpen(self, image: Image) -> Image:
        """The halo of a camera that sharpens too much."""
        dice = self._dice
        soft = cv2.GaussianBlur(image, (0, 0), dice.uniform(0.7, 1.7))
        amount = dice.uniform(0.4, 2.0)
        return np.asarray(cv2.addWeighted(image, 1 + amount, soft, -amount, 0), np.uint8)
