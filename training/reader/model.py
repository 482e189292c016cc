"""The reader's network.

A picture of 64 x 160 pixels becomes two rows of 40 tokens, the upper and the lower half of the
plate, which attend to each other; connectionist temporal classification (Graves et al. 2006) reads
the upper row and then the lower one, so that plates of two lines need nothing of their own.
"""

from __future__ import annotations

import string

import torch
from torch import Tensor, nn
from torch.nn import functional

ALPHABET = string.digits + string.ascii_uppercase
"""Class 0 is CTC's blank, class i the character ``ALPHABET[i - 1]``."""

HEIGHT, WIDTH = 64, 160
STEPS = 80
LONGEST = 12

_MEAN, _SCALE = 127.5, 64.0


def encode(text: str) -> list[int]:
    """The classes of a text."""
    return [ALPHABET.index(character) + 1 for character in text]


def conv(
    inputs: int, outputs: int, stride: int | tuple[int, int] = 1, size: int = 3
) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Two convolutions of 3 x 3 beside the identity (He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(self.first(x)))


class Layer(nn.Module):
    """One encoder layer of a transformer, normalising first (Xiong et al. 2020)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.widen = nn.Linear(width, 2 * width)
        self.narrow = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._attend(self.norm1(x))
        return x + self.narrow(functional.gelu(self.widen(self.norm2(x))))

    def _attend(self, x: Tensor) -> Tensor:
        batch, steps, width = x.shape
        each = width // self.heads
        query = self.query(x).view(batch, steps, self.heads, each).transpose(1, 2)
        both = self.key_value(x).view(batch, steps, 2, self.heads, each)
        key, value = both.permute(2, 0, 3, 1, 4).unbind(0)
        weights = torch.softmax((query @ key.transpose(-1, -2)) * each**-0.5, -1)
        return self.out((weights @ value).transpose(1, 2).reshape(batch, steps, width))


class Reader(nn.Module):
    """float32 (N, 3, 64, 160), normalised BGR, to float32 (N, 80, 37), logits of CTC."""

    def __init__(self, width: int = 144, heads: int = 4, layers: int = 2) -> None:
        super().__init__()
        self.features = nn.Sequential(
            conv(3, 24, 2, 5),
            conv(24, 48, 2),
            Residual(48),
            Residual(48),
            conv(48, 88, (2, 1)),
            Residual(88),
            conv(88, 128, (2, 1)),
            nn.Conv2d(128, width, (2, 1), (2, 1)),
        )
        self.position = nn.Parameter(torch.randn(1, STEPS, width) * 0.02)
        self.layers = nn.ModuleList([Layer(width, heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self.classes = nn.Linear(width, len(ALPHABET) + 1)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.features(x).flatten(2).transpose(1, 2) + self.position
        for layer in self.layers:
            tokens = layer(tokens)
        return self.classes(self.norm(tokens))  # type: ignore[no-any-return]


def normalise(pictures: Tensor) -> Tensor:
    """uint8 (N, 64, 160, 3) BGR to what ``Reader`` takes."""
    scaled = (pictures.permute(0, 3, 1, 2).float() - _MEAN) / _SCALE
    return scaled.contiguous(memory_format=torch.channels_last)


class Exported(nn.Module):
    """The network as it ships: uint8 (N, 64, 160, 3) BGR in, CTC probabilities (N, 80, 37) out."""

    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self.reader = reader

    def forward(self, pictures: Tensor) -> Tensor:
        scaled = (pictures.permute(0, 3, 1, 2).float() - _MEAN) / _SCALE
        return self.reader(scaled).softmax(-1)
