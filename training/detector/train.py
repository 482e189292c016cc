"""Train the plate detector.

    python -m training.detector.train --start MODEL.onnx --labels RELABELLED.jsonl \\
        --output training/work/detector/run1 --steps 4000

Two processes of one thread each: this one, and one that makes the canvases. ``--output`` gets
``last.pt`` (weights, their moving average, optimiser, step) every ``--save`` steps and a line in
``log.jsonl`` for every measurement; the same command goes on from ``last.pt`` if it is there. The
batch of a step depends on the seed and the step alone.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import math
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import cv2
import torch
from torch import Tensor

from training.detector import evaluate, feed, running
from training.detector.loss import PlateLoss, batch_targets
from training.detector.network import PlateDetector, prepare
from training.detector.start import load_onnx, unfold_norms

log = logging.getLogger(__name__)

WARM_UP = 150
LEAST_RATE = 0.01
AVERAGE_DECAY = 0.999
UNFOLD_BATCHES = 20


@dataclass(slots=True)
class State:
    """Everything that a checkpoint holds."""

    network: PlateDetector
    average: PlateDetector
    optimiser: torch.optim.Optimizer
    step: int = 0

    def save(self, path: Path) -> None:
        """Write the checkpoint; one that is there is replaced in one go."""
        content = {
            "net": self.network.state_dict(),
            "ema": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
        }
        part = path.with_suffix(".part")
        torch.save(content, part)
        part.replace(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint."""
        content = torch.load(path, weights_only=True)
        self.network.load_state_dict(content["net"])
        self.average.load_state_dict(content["ema"])
        self.optimiser.load_state_dict(content["optimiser"])
        self.step = content["step"]


def begin(start: Path | None, recipe: feed.Recipe, rate: float) -> State:
    """A state with the weights of an ONNX file, or with none that mean anything."""
    network = PlateDetector()
    if start is not None:
        load_onnx(network, start)
        batches = feed.batches(recipe, 0, UNFOLD_BATCHES)
        unfold_norms(network, (torch.from_numpy(batch.pictures) for batch in batches))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    weights = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [
        {"params": weights, "weight_decay": 0.03},
        {"params": others, "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.99))
    return State(network, copy.deepcopy(network).eval(), optimiser)


def rate_at(step: int, steps: int, rate: float) -> float:
    """Learning rate of a step: a short rise, then half a cosine down to a hundredth."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
    return rate * min(1.0, (step + 1) / WARM_UP) * (LEAST_RATE + (1 - LEAST_RATE) * cosine)


def learn(state: State, batch: feed.Batch, rate: float) -> dict[str, Tensor]:
    """One step of training; the losses."""
    for group in state.optimiser.param_groups:
        group["lr"] = rate
    pictures = prepare(torch.from_numpy(batch.pictures))
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    state.network.train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = state.network(pictures)
    losses = PlateLoss(batch.pictures.shape[1])(output, batch_targets(batch.plates))
    state.optimiser.zero_grad(set_to_none=True)
    losses.total.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), 5.0)
    state.optimiser.step()
    decay = min(AVERAGE_DECAY, (state.step + 1) / (state.step + 10))
    _average(state.average, state.network, 1 - decay)
    state.step += 1
    return {
        "score": losses.score.detach(),
        "box": losses.box.detach(),
        "corner": losses.corner.detach(),
        "overlap": losses.overlap,
    }


@torch.no_grad()
def _average(average: PlateDetector, network: PlateDetector, share: float) -> None:
    for mean, value in zip(
        average.state_dict().values(), network.state_dict().values(), strict=True
    ):
        if mean.dtype.is_floating_point:
            mean.lerp_(value, share)
        else:
            mean.copy_(value)


def validate(network: PlateDetector) -> dict[str, dict[str, float]]:
    """Found and extra boxes on ``plates_val`` at a longer side of 640."""
    _, scores = evaluate.evaluate(running.in_torch(copy.deepcopy(network)), [(640,)])
    return {
        name: {
            "found": round(score.found / score.pictures, 4),
            "first": round(score.first / score.pictures, 4),
            "overlap": round(sum(score.overlaps) / score.pictures, 4),
            "extra": round(score.extra / score.pictures, 3),
            "sure_extra": round(score.sure_extra / score.pictures, 3),
        }
        for name, score in scores["640"].items()
    }


def train(
    state: State, recipe: feed.Recipe, output: Path, *, steps: int, rate: float, save: int
) -> None:
    """Train until ``steps``, writing checkpoints and measurements into ``output``."""
    sums: dict[str, float] = defaultdict(float)
    began, waited, canvases = time.perf_counter(), 0.0, 0
    source = feed.batches(recipe, state.step, steps)
    while state.step < steps:
        before = time.perf_counter()
        batch = next(source)
        waited += time.perf_counter() - before
        canvases += len(batch.plates)
        for name, value in learn(state, batch, rate_at(state.step, steps, rate)).items():
            sums[name] += float(value) / 50
        if state.step % 50 == 0:
            spent = time.perf_counter() - began
            measured = {name: round(value, 4) for name, value in sums.items()}
            _note(
                output,
                {
                    "step": state.step,
                    **measured,
                    "ms_a_canvas": round(1e3 * spent / canvases, 1),
                    "waited": round(waited / spent, 2),
                },
            )
            sums.clear()
            began, waited, canvases = time.perf_counter(), 0.0, 0
        if state.step % save == 0 or state.step == steps:
            state.save(output / "last.pt")
            _note(output, {"step": state.step, "val": validate(state.average)})
            began, waited, canvases = time.perf_counter(), 0.0, 0


def _note(output: Path, measurement: dict[str, object]) -> None:
    line = json.dumps(measurement)
    log.info("%s", line)
    with (output / "log.jsonl").open("a") as file:
        file.write(line + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--start", type=Path, required=True, help="ONNX file to begin from")
    parser.add_argument("--labels", type=Path, required=True, help="written by relabel")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--save", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    options.output.mkdir(parents=True, exist_ok=True)
    recipe = feed.Recipe(options.labels, options.seed)
    checkpoint = options.output / "last.pt"
    resumed = checkpoint.exists()
    state = begin(None if resumed else options.start, recipe, options.rate)
    if resumed:
        state.load(checkpoint)
        log.info("going on from step %d", state.step)
    train(state, recipe, options.output, steps=options.steps, rate=options.rate, save=options.save)


if __name__ == "__main__":
    main()
