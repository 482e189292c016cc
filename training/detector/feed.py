"""Training batches, made by a process of their own in a fixed order."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from training import paths
from training.detector import scenes
from training.detector.boxes import Image
from training.detector.canvas import Canvases
from training.detector.damage import Damage
from training.detector.paste import PlatePaster
from training.detector.targets import Plates
from training.synth.glyphs import GlyphBank
from training.synth.plates import PlateMaker

SIDES = ((320, 24), (448, 12))
"""Sides of canvases in pixels and how many make a batch of about the same cost."""
LARGE_SHARE = 0.25
POOL = 3000
TALLEST = 110
"""Height in pixels of the pool's plates at most: none is pasted much larger."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What decides, together with a step's number, what its batch is."""

    labels: Path
    seed: int = 0
    pool: int = POOL
    side: int = 544


@dataclass(frozen=True, slots=True)
class Batch:
    """Canvases, uint8 (N, side, side, 3) BGR, and their plates."""

    pictures: NDArray[np.uint8]
    plates: list[Plates]


def canvases(recipe: Recipe) -> Canvases:
    """The source of canvases of a recipe; holds all scenes in memory."""
    return Canvases(
        scenes.load(recipe.labels, paths.DATA / "plates_train", side=recipe.side),
        PlatePaster(plate_pool(recipe.pool, recipe.seed)),
        Damage(recipe.seed),
    )


def plate_pool(count: int, seed: int) -> list[Image]:
    """``count`` clean synthetic plates, none taller than ``TALLEST``."""
    maker = PlateMaker(GlyphBank.load(), np.random.default_rng([seed, 1]))
    pool: list[Image] = []
    for _ in range(count):
        image = maker.plate().image
        factor = TALLEST / image.shape[0]
        if factor < 1:
            size = [max(8, round(v * factor)) for v in image.shape[1::-1]]
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        pool.append(np.ascontiguousarray(image, np.uint8))
    return pool


def batch(source: Canvases, seed: int, step: int) -> Batch:
    """The batch of a step: the same for the same seed and step."""
    rng = np.random.default_rng([seed, 2, step])
    side, count = SIDES[int(rng.random() < LARGE_SHARE)]
    made = [source.make(rng, side) for _ in range(count)]
    return Batch(np.stack([image for image, _ in made]), [plates for _, plates in made])


def batches(recipe: Recipe, first: int, last: int) -> Iterator[Batch]:
    """The batches of the steps ``first`` .. ``last`` - 1, made ahead by another process.

    Raises ``RuntimeError`` when that process ends before its time.
    """
    context = multiprocessing.get_context("spawn")
    queue = context.Queue(4)
    process = context.Process(target=_make, args=(recipe, first, last, queue), daemon=True)
    process.start()
    try:
        for _ in range(first, last):
            while queue.empty() and process.is_alive():
                process.join(0.002)
            if queue.empty() and not process.is_alive():
                raise RuntimeError(f"the process that makes batches ended: {process.exitcode}")
            yield queue.get()
    finally:
        process.kill()
        process.join()


def _make(
    recipe: Recipe, first: int, last: int, queue: multiprocessing.queues.Queue[Batch]
) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    source = canvases(recipe)
    parent = multiprocessing.parent_process()
    for step in range(first, last):
        made = batch(source, recipe.seed, step)
        while queue.full():
            if parent is None or not parent.is_alive():
                return
            time.sleep(0.02)
        queue.put(made)
    queue.close()
    queue.join_thread()
