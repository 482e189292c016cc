"""Batches for the reader: fresh synthetic plates, some seen before, and real crops."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.reader import crops
from training.reader.model import HEIGHT, LONGEST, WIDTH, encode
from training.synth.samples import SampleSource, stretch

POOL = 12_000
"""Synthetic pictures that are kept to be seen again; drawing one costs a quarter of learning it."""


class Batches:
    """An endless stream of batches; the same seed gives the same stream."""

    def __init__(self, seed: int, *, fresh: int, again: int, real: int) -> None:
        self._rng = np.random.default_rng([seed, 1])
        self._synthetic = SampleSource(seed) if fresh else None
        self._augmenter = crops.CropAugmenter(crops.load(validation=False), self._rng)
        self._fresh, self._again, self._real = fresh, again, real
        self._pool = np.empty((POOL, HEIGHT, WIDTH, 3), np.uint8)
        self._texts: list[str] = [""] * POOL
        self._drawn = 0

    def draw(self) -> tuple[Tensor, list[str]]:
        """Pictures uint8 (N, 64, 160, 3) BGR, and their texts."""
        places = []
        for _ in range(self._fresh):
            assert self._synthetic is not None
            crop, text = self._synthetic.sample()
            place = self._drawn % POOL
            self._pool[place], self._texts[place] = stretch(crop), text
            places.append(place)
            self._drawn += 1
        filled = min(self._drawn, POOL)
        if self._again:
            places += self._rng.integers(filled, size=self._again).tolist()
        samples = [self._augmenter.sample() for _ in range(self._real)]
        pictures = np.concatenate([self._pool[places], np.stack([p for p, _ in samples])])
        texts = [self._texts[place] for place in places] + [t for _, t in samples]
        return torch.from_numpy(pictures), texts


def targets(texts: list[str]) -> tuple[Tensor, Tensor]:
    """Classes (N, longest) padded with 0, and lengths (N), as CTC's loss takes them."""
    classes = torch.zeros(len(texts), LONGEST, dtype=torch.long)
    for row, text in enumerate(texts):
        classes[row, : len(text)] = torch.tensor(encode(text))
    return classes, torch.tensor([len(text) for text in texts])


def jitter(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Small shifts, scales, slants, light and noise, so that no picture is seen twice alike.

    uint8 (N, 64, 160, 3) in, float32 (N, 3, 64, 160) in 0 ... 255 out.
    """
    images = pictures.permute(0, 3, 1, 2).float()
    count = len(images)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.empty(*shape).uniform_(low, high, generator=generator)

    matrix = torch.zeros(count, 2, 3)
    matrix[:, 0, 0], matrix[:, 1, 1] = uniform(0.95, 1.06, count), uniform(0.94, 1.07, count)
    matrix[:, 0, 1], matrix[:, 1, 0] = uniform(-0.03, 0.03, count), uniform(-0.03, 0.03, count)
    matrix[:, 0, 2], matrix[:, 1, 2] = uniform(-0.03, 0.03, count), uniform(-0.05, 0.05, count)
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    images = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    mean = images.mean((1, 2, 3), keepdim=True)
    images = (images - mean) * uniform(0.75, 1.25, count, 1, 1, 1) + mean
    images = images + uniform(-25, 25, count, 1, 1, 1)
    images = images * uniform(0.93, 1.07, count, 3, 1, 1)
    strength = uniform(-4, 5, count, 1, 1, 1).clamp(min=0)
    noise = torch.randn(count, 1, HEIGHT, WIDTH, generator=generator)
    return (images + noise * strength).clamp(0, 255)
