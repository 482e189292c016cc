"""The plate detector: one class, no anchors, a box and four corners in every cell.

A small residual pyramid network with strides 8, 16 and 32. Its stem sees the picture after a
space-to-depth of two (12 channels of half the size), which trains three times as fast as two
strided convolutions on three channels and becomes a single 6 x 6 convolution at export. ``boxes``
tells what its outputs mean.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.detector.boxes import OUTPUTS, STRIDES

WIDTHS = (32, 48, 80, 128)
"""Channels of the stem and of the stages at strides 8, 16 and 32."""
BLOCKS = (1, 2, 2)
PYRAMID = (48, 48, 64)


class ConvNorm(nn.Sequential):
    """Convolution, batch normalisation and, unless ``relu`` is false, a ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, *, relu: bool = True
    ) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            # Batches hold mosaics of very different brightness: a long memory steadies the
            # statistics.
            nn.BatchNorm2d(outputs, momentum=0.03),
            *([nn.ReLU(inplace=True)] if relu else []),
        )


class Residual(nn.Module):
    """x + 3x3(1x1(x)), with half the channels in between."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = ConvNorm(channels, channels // 2, 1)
        self.expand = ConvNorm(channels // 2, channels)

    def forward(self, x: Tensor) -> Tensor:
        inner: Tensor = self.expand(self.squeeze(x))
        return x + inner


def _stage(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(
        ConvNorm(inputs, outputs, 3, 2), *(Residual(outputs) for _ in range(blocks))
    )


class PlateDetector(nn.Module):
    """The network. ``forward`` takes what ``prepare`` gives."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNorm(12, WIDTHS[0], 3, 2)
        self.stages = nn.ModuleList(
            _stage(inputs, outputs, blocks)
            for inputs, outputs, blocks in zip(WIDTHS[:-1], WIDTHS[1:], BLOCKS, strict=True)
        )
        self.lateral = nn.ModuleList(
            ConvNorm(inputs, outputs, 1)
            for inputs, outputs in zip(WIDTHS[1:], PYRAMID, strict=True)
        )
        self.narrow = ConvNorm(PYRAMID[2], PYRAMID[1], 1, relu=False)
        self.smooth = nn.ModuleList((ConvNorm(48, 48), ConvNorm(48, 48)))
        self.heads = nn.ModuleList(ConvNorm(channels, channels) for channels in PYRAMID)
        self.outputs = nn.ModuleList(nn.Conv2d(channels, OUTPUTS, 1) for channels in PYRAMID)

    def forward(self, x: Tensor) -> Tensor:
        """Raw outputs, float32, shape (N, cells, 13): strides 8, 16, 32, each row by row."""
        x = self.stem(x)
        fine = self.stages[0](x)
        middle = self.stages[1](fine)
        coarse = self.lateral[2](self.stages[2](middle))
        middle = self.lateral[1](middle) + _double(self.narrow(coarse))
        middle = self.smooth[1](middle)
        fine = self.smooth[0](self.lateral[0](fine) + _double(middle))
        levels = [
            output(head(level)).float().flatten(2)
            for output, head, level in zip(
                self.outputs, self.heads, (fine, middle, coarse), strict=True
            )
        ]
        return torch.cat(levels, 2).transpose(1, 2)


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def prepare(pictures: Tensor) -> Tensor:
    """uint8 BGR pictures (N, H, W, 3), H and W multiples of 32, as input of the network.

    Channel 4 c + 2 dy + dx holds colour c of the pixel at (dy, dx) of each 2 x 2 square, 0 .. 1.
    """
    count, height, width, _ = pictures.shape
    squares = pictures.reshape(count, height // 2, 2, width // 2, 2, 3).permute(0, 1, 3, 5, 2, 4)
    channels = squares.reshape(count, height // 2, width // 2, 12).permute(0, 3, 1, 2)
    return channels.to(torch.float32).div_(255)


def cells(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Centres (cells, 2) as x, y in pixels and strides (cells,) in the order of the output."""
    centres, strides = [], []
    for stride in STRIDES:
        rows = (torch.arange(height // stride) + 0.5) * stride
        columns = (torch.arange(width // stride) + 0.5) * stride
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        centres.append(torch.stack((x, y), -1).reshape(-1, 2))
        strides.append(torch.full((x.numel(),), float(stride)))
    return torch.cat(centres), torch.cat(strides)
