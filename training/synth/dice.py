"""Cheap scalar draws from one ``numpy.random.Generator``.

A plate takes some hundreds of single draws. A call into the Generator for each costs more than the
drawing itself, so uniform numbers are taken a block at a time.
"""

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")

_BLOCK = 4096


class Dice:
    """Draws single numbers and choices; the same seed gives the same sequence."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self._block: list[float] = []

    def random(self) -> float:
        """A number in [0, 1)."""
        if not self._block:
            self._block = self.rng.random(_BLOCK).tolist()
        return self._block.pop()

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * self.random()

    def log_uniform(self, low: float, high: float) -> float:
        """A number in [low, high) whose logarithm is uniform."""
        return math.exp(self.uniform(math.log(low), math.log(high)))

    def normal(self, sigma: float = 1.0, mean: float = 0.0) -> float:
        """A normally distributed number (Box-Muller)."""
        radius = math.sqrt(-2.0 * math.log(1.0 - self.random()))
        return mean + sigma * radius * math.cos(2.0 * math.pi * self.random())

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.random() < probability

    def below(self, stop: int) -> int:
        """A whole number in [0, stop)."""
        return int(self.random() * stop)

    def between(self, low: int, high: int) -> int:
        """A whole number in [low, high], both included."""
        return low + int(self.random() * (high - low + 1))

    def pick(self, options: Sequence[T]) -> T:
        """One of the options, each as likely as the others."""
        return options[int(self.random() * len(options))]

    def weighted(self, options: Sequence[tuple[T, float]]) -> T:
        """One of the options ``(value, weight)``, by weight."""
        point = self.random() * sum(weight for _, weight in options)
        for value, weight in options:
            point -= weight
            if point < 0.0:
                return value
        return options[-1][0]
