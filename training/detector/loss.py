"""Which cells answer for which plate, and how wrong their answers are.

Assignment follows task-aligned one-stage detectors: a plate takes the cells whose prediction is
best by score^.5 x IoU^4, as many as the sum of its ten best IoUs. Scores are trained with plain
binary cross-entropy towards the alignment (focal variants left negatives at 0.2 .. 0.4), boxes
with complete IoU (Zheng et al., 2020), corners with smooth L1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.detector.boxes import LOG_SIZE_LIMITS
from training.detector.network import cells
from training.detector.targets import Plates

MOST = 24
"""Plates, ignored places and open places of one canvas that count, each."""
NOWHERE = -9e3
_OPEN_SCORE = 0.8
BOX_WEIGHT, CORNER_WEIGHT = 2.0, 1.0


@dataclass(frozen=True, slots=True)
class Targets:
    """Targets of a batch: boxes (N, M, 4), corners (N, M, 8), trust (N, M), present (N, M),
    ignored and open places (N, M, 4)."""

    boxes: Tensor
    corners: Tensor
    trust: Tensor
    present: Tensor
    ignored: Tensor
    open_: Tensor


def batch_targets(canvases: list[Plates]) -> Targets:
    """The targets of several canvases, padded to the same number."""
    count = len(canvases)
    boxes, ignored, open_ = (np.full((count, MOST, 4), NOWHERE, np.float32) for _ in range(3))
    corners = np.zeros((count, MOST, 8), np.float32)
    trust = np.zeros((count, MOST), np.float32)
    present = np.zeros((count, MOST), np.bool_)
    for index, plates in enumerate(canvases):
        asked = plates.asked()
        kept = np.flatnonzero(asked)[:MOST]
        boxes[index, : len(kept)] = plates.boxes[kept]
        corners[index, : len(kept)] = plates.corners[kept]
        trust[index, : len(kept)] = plates.trust[kept]
        present[index, : len(kept)] = True
        left = np.concatenate((plates.boxes[~asked], plates.ignored))[:MOST]
        ignored[index, : len(left)] = left
        open_[index, : len(plates.open_)] = plates.open_[:MOST]
    used = max(1, int(present.sum(1).max()))
    places = max(1, int((ignored[..., 0] > NOWHERE).sum(1).max()))
    return Targets(
        boxes=torch.from_numpy(boxes[:, :used]),
        corners=torch.from_numpy(corners[:, :used]),
        trust=torch.from_numpy(trust[:, :used]),
        present=torch.from_numpy(present[:, :used]),
        ignored=torch.from_numpy(ignored[:, :places]),
        open_=torch.from_numpy(open_[:, :4]),
    )


@dataclass(frozen=True, slots=True)
class Losses:
    """Score, box and corner loss, and the mean IoU of the boxes that answer for a plate."""

    score: Tensor
    box: Tensor
    corner: Tensor
    overlap: Tensor

    @property
    def total(self) -> Tensor:
        return self.score + BOX_WEIGHT * self.box + CORNER_WEIGHT * self.corner


class PlateLoss:
    """The loss for canvases of one size."""

    def __init__(self, side: int) -> None:
        self.centres, self.strides = cells(side, side)

    def __call__(self, output: Tensor, targets: Targets) -> Losses:
        """The losses of raw network outputs (N, cells, 13)."""
        boxes = self._boxes(output)
        logits = output[..., 0]
        owner, wanted = self._assign(boxes.detach(), logits.detach(), targets)
        taken = owner >= 0
        weight = self._judged(logits.detach().sigmoid(), targets, taken)
        scale = wanted.sum().clamp_min(1)
        score = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        at = taken.nonzero(as_tuple=True)
        plate = owner[at]
        share = wanted[at]
        iou, complete = complete_iou(boxes[at], targets.boxes[at[0], plate])
        corner = self._corner_error(boxes[at].detach(), output[at], at[0], plate, targets)
        trusted = share * targets.trust[at[0], plate]
        return Losses(
            score=(score * weight).sum() / scale,
            box=((1 - complete) * share).sum() / scale,
            corner=(corner * trusted).sum() / trusted.sum().clamp_min(1),
            overlap=(iou.detach() * share).sum() / scale,
        )

    def _boxes(self, output: Tensor) -> Tensor:
        centre = self.centres + output[..., 1:3] * self.strides[:, None]
        size = output[..., 3:5].clamp(*LOG_SIZE_LIMITS).exp() * self.strides[:, None]
        return torch.cat((centre - size / 2, centre + size / 2), -1)

    @torch.no_grad()
    def _assign(self, boxes: Tensor, logits: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
        """For each cell its plate (-1: none) and the score it should give."""
        wanted_boxes, present = targets.boxes, targets.present
        middle = (wanted_boxes[..., :2] + wanted_boxes[..., 2:]) / 2
        size = wanted_boxes[..., 2:] - wanted_boxes[..., :2]
        distance = (self.centres - middle[:, :, None]).abs()
        reach = torch.maximum(0.45 * size[:, :, None], 1.2 * self.strides[:, None])
        near = (distance < reach).all(-1) & present[..., None]
        iou = complete_iou(boxes[:, None], wanted_boxes[:, :, None])[0] * near
        fit = logits.sigmoid().clamp_min(1e-4).sqrt()[:, None] * iou**4
        best, at = fit.topk(10, -1)
        count = iou.topk(10, -1)[0].sum(-1).round().clamp(1, 10)
        chosen = torch.zeros_like(near)
        chosen.scatter_(2, at, (torch.arange(10) < count[..., None]) & (best > 0))
        lost = present & ~chosen.any(-1)
        if lost.any():
            # Nothing overlaps yet: the nearest cell of the level that suits the size.
            level = (size.clamp_min(1).prod(-1).sqrt() / 2.2)[..., None]
            cost = (level / self.strides).log2().abs() * 3
            cost = cost + (distance / self.strides[:, None]).square().sum(-1)
            nearest = functional.one_hot(cost.argmin(-1), cost.shape[-1]).bool()
            chosen |= nearest & lost[..., None]
        rank = torch.where(chosen, iou + 1e-3, torch.zeros_like(iou))
        most, owner = rank.max(1)
        owner = torch.where(most > 0, owner, -1)
        mine = owner[:, None] == torch.arange(present.shape[1])[:, None]
        fit = fit * mine
        overlap = iou * mine
        ceiling = overlap.amax(-1, keepdim=True).clamp_min(0.02).sqrt()
        score = (fit / (fit.amax(-1, keepdim=True) + 1e-9) * ceiling).amax(1)
        score = torch.where(owner >= 0, score.clamp(0.1, 1.0), 0.0)
        return owner, score

    def _judged(self, score: Tensor, targets: Targets, taken: Tensor) -> Tensor:
        """1 where a cell's score counts, 0 in ignored places.

        Where labels are incomplete, a confident box away from every labelled plate may be right.
        """
        ignored = self._inside(targets.ignored, 4.0)
        around = (targets.boxes[..., 2:] - targets.boxes[..., :2]).abs() / 2
        near = self._inside(
            torch.cat((targets.boxes[..., :2] - around, targets.boxes[..., 2:] + around), -1), 0.0
        )
        perhaps = self._inside(targets.open_, 0.0) & (score > _OPEN_SCORE) & ~near
        return (taken | ~(ignored | perhaps)).float()

    def _inside(self, boxes: Tensor, margin: float) -> Tensor:
        x, y = self.centres.unbind(-1)
        left, top, right, bottom = boxes[..., None].unbind(2)
        inside = (x > left - margin) & (x < right + margin)
        return (inside & (y > top - margin) & (y < bottom + margin)).any(1)

    def _corner_error(
        self, boxes: Tensor, output: Tensor, canvas: Tensor, plate: Tensor, targets: Targets
    ) -> Tensor:
        """Mean smooth L1 of the corners; x in widths and heights evenly, y in heights."""
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        half = ((boxes[:, 2:] - boxes[:, :2]) / 2).clamp_min(1)
        exact = targets.corners[canvas, plate].reshape(-1, 4, 2)
        base = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
        seen = output[:, 5:].reshape(-1, 4, 2) + base
        wanted = ((exact - middle[:, None]) / half[:, None]).clamp(-3, 3)
        # Reading suffers from a shift by a part of the height, whichever way it goes.
        longer = (half[:, 0] / half[:, 1]).clamp(1, 6).sqrt()
        stretch = torch.stack((longer, torch.ones_like(longer)), -1)[:, None]
        error = functional.smooth_l1_loss(
            seen * stretch, wanted * stretch, beta=0.1, reduction="none"
        )
        return error.mean((1, 2))


def complete_iou(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and complete IoU of boxes (..., 4), broadcast against each other."""
    common = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(
        0
    )
    inner = common.prod(-1)
    size_a, size_b = a[..., 2:] - a[..., :2], b[..., 2:] - b[..., :2]
    iou = inner / (size_a.prod(-1) + size_b.prod(-1) - inner + 1e-6)
    hull = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    apart = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]).square().sum(-1) / 4
    shape = [torch.atan(size[..., 0] / (size[..., 1] + 1e-6)) for size in (size_a, size_b)]
    skew = 4 / math.pi**2 * (shape[0] - shape[1]).square()
    with torch.no_grad():
        part = skew / (1 - iou + skew + 1e-6)
    return iou, iou - apart / (hull.square().sum(-1) + 1e-6) - part * skew
