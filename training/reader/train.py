"""Training the reader.

    python -m training.reader.train --start src/detect_api/vision/models/reader.onnx --minutes 100

Several processes of one thread each train copies of the network and average them every few steps
(local SGD, Stich 2019): on two shared cores this is faster than one process of two threads. The
learning rate falls along half a cosine to the end that ``--samples`` or ``--minutes`` sets,
whichever comes first. A checkpoint is written every few minutes; running the same command again
goes on from it. ``log.jsonl`` beside it gets a line for each validation.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import math
import os
import time
from pathlib import Path
from typing import Any

import cv2
import torch
import torch.distributed as dist
from torch import Tensor, multiprocessing
from torch.nn import functional

from training import warmstart
from training.paths import WORK
from training.reader import score
from training.reader.batches import Batches, jitter, targets
from training.reader.model import HEIGHT, STEPS, WIDTH, Reader, normalise


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All that decides what a run learns, but for the code and the data."""

    start: str | None
    samples: int
    minutes: float
    rate: float = 7e-4
    fresh: int = 30
    again: int = 14
    real: int = 20
    processes: int = 2
    average_every: int = 8
    seed: int = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--start", help="an exported reader to go on from (default: from nothing)")
    parser.add_argument("--samples", type=int, default=3_000_000)
    parser.add_argument("--minutes", type=float, default=24 * 60)
    parser.add_argument("--rate", type=float, default=Recipe.rate)
    parser.add_argument("--fresh", type=int, default=Recipe.fresh, help="new synthetic, a batch")
    parser.add_argument("--again", type=int, default=Recipe.again, help="synthetic seen before")
    parser.add_argument("--real", type=int, default=Recipe.real, help="real crops, a batch")
    parser.add_argument("--processes", type=int, default=Recipe.processes)
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--out", type=Path, default=WORK / "reader")
    options = vars(parser.parse_args())
    out: Path = options.pop("out").resolve()
    out.mkdir(parents=True, exist_ok=True)
    recipe = Recipe(**options)
    meeting = out / "meeting"
    meeting.unlink(missing_ok=True)
    multiprocessing.spawn(_work, (recipe, out, meeting), nprocs=recipe.processes)


def _work(rank: int, recipe: Recipe, out: Path, meeting: Path) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    os.nice(rank)  # the others can wait for a check on the first one, not the other way round
    dist.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=recipe.processes
    )
    Run(rank, recipe, out).train()
    dist.destroy_process_group()


class Run:
    """One process of a training run."""

    def __init__(self, rank: int, recipe: Recipe, out: Path) -> None:
        self.rank, self.recipe, self.out = rank, recipe, out
        torch.manual_seed(recipe.seed)
        self.network = Reader().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.samples, self.seconds, self.steps = 0, 0.0, 0
        saved = self._saved()
        begun = saved["samples"] if saved else 0
        self.batches = Batches(
            (recipe.seed * 1000 + rank) * 1000 + begun // 100_000,
            fresh=recipe.fresh, again=recipe.again, real=recipe.real,
        )  # fmt: skip
        self.generator = torch.Generator().manual_seed(recipe.seed * 1000 + rank + begun)
        if saved is None and recipe.start:
            self._start(Path(recipe.start))
        decayed = [p for p in self.network.parameters() if p.ndim > 1]
        others = [p for p in self.network.parameters() if p.ndim <= 1]
        groups = [
            {"params": decayed, "weight_decay": 0.03},
            {"params": others, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=recipe.rate, betas=(0.9, 0.98))
        self.average = copy.deepcopy(self.network).eval()
        if saved is not None:
            self.network.load_state_dict(saved["network"])
            self.average.load_state_dict(saved["average"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.samples, self.seconds = saved["samples"], saved["seconds"]
            self.steps = self.samples // (recipe.fresh + recipe.again + recipe.real)
        self.trials = score.trials() if rank == 0 else []

    def train(self) -> None:
        """Train to the end of the schedule."""
        self._share()
        self._validate()
        last_save = last_check = clock = time.monotonic()
        losses: list[float] = []
        progress = 0.0
        while progress < 1:
            for group in self.optimizer.param_groups:
                warm = min(1.0, (self.steps + 1) / 50)
                group["lr"] = self.recipe.rate * warm * (0.5 + 0.5 * math.cos(math.pi * progress))
            losses.append(self._step())
            self.steps += 1
            if self.steps % self.recipe.average_every:
                continue
            now = time.monotonic()
            self.seconds, clock = self.seconds + now - clock, now
            progress = self._share()
            if self.rank == 0 and now - last_check > 420:
                last_check = now
                self._validate(loss=sum(losses) / len(losses))
                losses.clear()
            if self.rank == 0 and now - last_save > 120:
                last_save = now
                self._save()
        if self.rank == 0:
            self._save()
            self._validate()
        dist.barrier()

    def _step(self) -> float:
        pictures, texts = self.batches.draw()
        classes, lengths = targets(texts)
        images = (jitter(pictures, self.generator) - 127.5) / 64.0
        images = images.contiguous(memory_format=torch.channels_last)
        self.network.train()
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.network(images)
        steps = torch.full((len(texts),), STEPS)
        loss = functional.ctc_loss(
            logits.float().log_softmax(-1).transpose(0, 1), classes, steps, lengths,
            zero_infinity=True,
        )  # fmt: skip
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        self.optimizer.step()
        self.samples += len(texts)
        return float(loss.detach())

    @torch.no_grad()
    def _share(self) -> float:
        """Average the copies and move the running average; how far the schedule is, for all."""
        state = _floats(self.network)
        schedule = torch.tensor([float(self.samples), self.seconds], dtype=torch.float32)
        flat = torch.cat([value.reshape(-1) for value in state] + [schedule])
        dist.all_reduce(flat)
        flat /= dist.get_world_size()
        at = 0
        for value in state:
            value.copy_(flat[at : at + value.numel()].view_as(value))
            at += value.numel()
        for mine, theirs in zip(_floats(self.average), state, strict=True):
            mine.lerp_(theirs, 1 - min(0.985, (self.steps + 1) / (self.steps + 400)))
        samples = float(flat[at]) * dist.get_world_size()
        return max(samples / self.recipe.samples, float(flat[at + 1]) / 60 / self.recipe.minutes)

    @torch.no_grad()
    def _validate(self, **more: float) -> None:
        if self.rank:
            return
        self.average.eval()
        line: dict[str, Any] = {
            "samples": self.samples * self.recipe.processes,
            "minutes": round(self.seconds / 60, 1),
        } | {k: round(v, 4) for k, v in more.items()}
        for trial in self.trials:
            pictures = torch.from_numpy(trial.pictures)
            chunks = [self.average(normalise(part)).softmax(-1) for part in pictures.split(64)]
            read = score.greedy(torch.cat(chunks).numpy())
            line[trial.name] = [round(share, 3) for share in score.score(trial, read)]
        with (self.out / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)

    def _start(self, path: Path) -> None:
        """Go on from an export (``warmstart``)."""
        example = torch.zeros(1, 3, HEIGHT, WIDTH)
        warmstart.load(self.network, warmstart.weights_in_order(path), example)
        with torch.no_grad():
            self.network.position.copy_(warmstart.parameter(path, "pos", "position"))
        drawn = (jitter(self.batches.draw()[0], self.generator) for _ in range(12))
        warmstart.restore_batchnorm(
            self.network, ((images - 127.5) / 64.0 for images in drawn), self.network
        )

    def _saved(self) -> dict[str, Any] | None:
        path = self.out / "checkpoint.pt"
        if not path.exists():
            return None
        saved: dict[str, Any] = torch.load(path, weights_only=True)
        return saved

    def _save(self) -> None:
        saved = {
            "network": self.network.state_dict(), "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(), "samples": self.samples,
            "seconds": self.seconds, "recipe": dataclasses.asdict(self.recipe),
        }  # fmt: skip
        partial = self.out / "checkpoint.part"
        torch.save(saved, partial)
        partial.replace(self.out / "checkpoint.pt")


def _floats(network: torch.nn.Module) -> list[Tensor]:
    return [v for v in network.state_dict().values() if v.dtype.is_floating_point]


if __name__ == "__main__":
    main()
