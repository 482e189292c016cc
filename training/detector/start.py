"""Begin training from weights in an ONNX file: the pilot's, or those that we exported ourselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
import torch
from torch import Tensor

from training import warmstart
from training.detector.network import PlateDetector, prepare

INPUT_COLOURS = "colour_order"
"""The metadata key that says which colours a file's first convolution expects."""


def load_onnx(network: PlateDetector, path: Path) -> None:
    """Copy the weights of ``path`` into ``network``, each normalisation folded into its bias.

    Files without the key ``colour_order`` take RGB, as the pilot does. Raises ``ValueError`` when
    the file holds another network.
    """
    weights = warmstart.weights_in_order(path)
    kind, stem, bias = weights[0]
    weights[0] = kind, _as_squares(stem, metadata(path).get(INPUT_COLOURS, "RGB")), bias
    warmstart.load(network, weights, prepare(torch.zeros(1, 64, 64, 3, dtype=torch.uint8)))


def unfold_norms(network: PlateDetector, pictures: Iterator[Tensor]) -> None:
    """Give the normalisations the statistics of ``pictures`` (N, H, W, 3), the function kept."""
    warmstart.restore_batchnorm(network, (prepare(batch) for batch in pictures), network)


def metadata(path: Path) -> dict[str, str]:
    """The key/value pairs that an ONNX file carries beside its weights."""
    return {item.key: item.value for item in onnx.load(path).metadata_props}


def _as_squares(kernel: Tensor, colours: str) -> Tensor:
    """The first kernel of a file as 3 x 3 over the squares of ``prepare``.

    ``kernel`` is 6 x 6 over the colours of pixels, 0 .. 255, or what ``as_row_kernel`` gives.
    """
    if kernel.shape[1:] == (12, 6, 2):
        columns = kernel.reshape(-1, 4, 3, 6, 2).permute(0, 2, 3, 4, 1).reshape(-1, 3, 6, 8)
        kernel, colours = columns[..., 2:], "BGR"
    order = [colours.index(colour) for colour in "BGR"]
    # (output, colour, row, dy, column, dx) to (output, colour, dy, dx, row, column)
    split = kernel[:, order].reshape(-1, 3, 3, 2, 3, 2).permute(0, 1, 3, 5, 2, 4)
    return split.reshape(-1, 12, 3, 3) * 255


def as_row_kernel(squares: Tensor) -> Tensor:
    """A 3 x 3 kernel over squares as 6 x 2 over quarters of rows, 0 .. 255.

    A row of BGR pixels, taken four at a time, is a row with 12 channels: the same bytes. The
    kernel that moves by four pixels then moves by one column, and reads numbers that lie side by
    side; eight-bit convolutions run on that in a quarter of the time.
    """
    split = squares.reshape(-1, 3, 2, 2, 3, 3).permute(0, 1, 4, 2, 5, 3)
    pixels = split.reshape(-1, 3, 6, 6) / 255
    columns = torch.nn.functional.pad(pixels, (2, 0)).reshape(-1, 3, 6, 2, 4)
    return columns.permute(0, 4, 1, 2, 3).reshape(-1, 12, 6, 2)
