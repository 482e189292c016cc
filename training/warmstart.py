"""Going on with the training of a network from its exported ONNX file.

An export holds a network's weights in the order in which its layers run, with each batch
normalisation folded into the convolution before it. ``load`` puts them back into a network of the
same structure, and ``restore_batchnorm`` unfolds the normalisations again, so that training goes
on as if the checkpoint had been kept. The exported function does not change by either.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

Weights = tuple[str, torch.Tensor, torch.Tensor | None]
"""Kind (``Conv2d``, ``Linear``, ``LayerNorm``), weight and bias as PyTorch has them."""


def weights_in_order(path: Path) -> list[Weights]:
    """The layers with weights of an ONNX file, in the order in which they run."""
    graph = onnx.load(path).graph
    values = {
        i.name: torch.from_numpy(np.array(numpy_helper.to_array(i))) for i in graph.initializer
    }
    found: list[Weights] = []
    users = {name: node for node in graph.node for name in node.input}
    for node in graph.node:
        known = [values.get(name) for name in node.input]
        if node.op_type == "Conv" and known[1] is not None:
            found.append(("Conv2d", known[1], known[2] if len(known) > 2 else None))
        elif node.op_type == "LayerNormalization" and known[1] is not None:
            found.append(("LayerNorm", known[1], known[2]))
        elif node.op_type == "MatMul" and known[1] is not None:
            add = users.get(node.output[0])
            bias = None
            if add is not None and add.op_type == "Add":
                bias = next((values[name] for name in add.input if name in values), None)
            found.append(("Linear", known[1].T, bias))
    return found


def parameter(path: Path, *endings: str) -> torch.Tensor:
    """The one initialiser whose name ends in one of these ways.

    Raises ValueError if there is not exactly one.
    """
    graph = onnx.load(path).graph
    found = [i for i in graph.initializer if i.name.endswith(endings)]
    if len(found) != 1:
        raise ValueError(f"{path.name} has {len(found)} initialisers that end with {endings}")
    return torch.from_numpy(np.array(numpy_helper.to_array(found[0])))


def layers_in_order(network: nn.Module, example: torch.Tensor) -> list[nn.Module]:
    """The layers with weights of a network, in the order in which they run on ``example``."""
    order: list[nn.Module] = []
    hooks = [
        module.register_forward_hook(lambda m, _i, _o: order.append(m))
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.Linear | nn.LayerNorm)
    ]
    network.eval()
    with torch.no_grad():
        network(example)
    for hook in hooks:
        hook.remove()
    return order


@torch.no_grad()
def load(network: nn.Module, weights: Sequence[Weights], example: torch.Tensor) -> None:
    """Fill a network with exported weights; its batch normalisations become plain additions.

    Raises ValueError if the structures differ.
    """
    layers = layers_in_order(network, example)
    kinds = [type(layer).__name__ for layer in layers]
    if kinds != [kind for kind, _, _ in weights]:
        raise ValueError(f"the file has {len(weights)} layers, the network {len(kinds)}, or others")
    normalisations = dict(normalised(network))
    for layer, (_, weight, bias) in zip(layers, weights, strict=True):
        assert isinstance(layer, nn.Conv2d | nn.Linear | nn.LayerNorm)
        if layer.weight.shape != weight.shape:
            raise ValueError(f"a layer has the shape {weight.shape}, not {layer.weight.shape}")
        layer.weight.copy_(weight)
        norm = normalisations.get(layer) if isinstance(layer, nn.Conv2d) else None
        if norm is not None:
            assert norm.running_mean is not None and norm.running_var is not None
            norm.running_mean.zero_()
            norm.running_var.fill_(1 - norm.eps)
            norm.weight.fill_(1)
            norm.bias.copy_(bias if bias is not None else torch.zeros_like(norm.bias))
        elif bias is not None:
            layer.bias.copy_(bias)


def normalised(network: nn.Module) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Each convolution that a batch normalisation follows within one ``nn.Sequential``."""
    for module in network.modules():
        if isinstance(module, nn.Sequential):
            parts = list(module)
            for first, second in itertools.pairwise(parts):
                if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                    yield first, second


@torch.no_grad()
def restore_batchnorm(
    network: nn.Module, batches: Iterator[torch.Tensor], forward: Callable[[torch.Tensor], object]
) -> None:
    """Unfold batch normalisations: measure what they would have measured on ``batches``.

    With mean m and variance v of a convolution's output, the normalisation gets these as its
    running statistics, the weight sqrt(v + eps) and m more bias: in evaluation the same function
    as before, and in training nearly so.
    """
    pairs = list(normalised(network))
    sums = {conv: [0.0, torch.zeros(()), torch.zeros(())] for conv, _ in pairs}

    def watch(conv: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        flat = output.float().transpose(0, 1).flatten(1)
        entry = sums[conv]  # type: ignore[index]
        entry[0] += flat.shape[1]
        entry[1] = entry[1] + flat.sum(1)
        entry[2] = entry[2] + flat.square().sum(1)

    hooks = [conv.register_forward_hook(watch) for conv, _ in pairs]
    network.eval()
    for batch in batches:
        forward(batch)
    for hook in hooks:
        hook.remove()
    for conv, norm in pairs:
        count, total, squares = sums[conv]
        mean = total / count
        variance = (squares / count - mean.square()).clamp(min=1e-4)
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.add_(mean)
