"""The detector as an ONNX graph, written node by node.

Writing it out, instead of tracing, keeps the graph as small as it can be, gives every tensor the
name of its layer, and lets all three sizes (batch, height, width) stay open. Input ``pictures``:
uint8 (N, H, W, 3) BGR, H and W multiples of 32, as OpenCV has them. Output ``cells``: float32
(N, cells, 13), see ``boxes``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from training.detector.boxes import OUTPUTS
from training.detector.network import ConvNorm, PlateDetector, Residual
from training.detector.start import INPUT_COLOURS, as_row_kernel

OPSET = 17
IR_VERSION = 8


class _Graph:
    """Nodes and constants as they are added; every method returns the name of its result."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def conv(self, name: str, module: nn.Module, x: str, *, stem: bool = False) -> str:
        if isinstance(module, ConvNorm):
            norm = cast(nn.BatchNorm2d, module[1])
            folded = fuse_conv_bn_eval(cast(nn.Conv2d, module[0]), norm)
            relu = len(module) > 2
        else:
            assert isinstance(module, nn.Conv2d)
            folded, relu = module, False
        weight = folded.weight.detach()
        if stem:
            weight = as_row_kernel(weight)
        assert folded.bias is not None
        pads = [2, 1, 0, 0] if stem else [weight.shape[-1] // 2] * 4
        result = self.node(
            "Conv",
            [
                x,
                self.constant(f"{name}.weight", weight.numpy()),
                self.constant(f"{name}.bias", folded.bias.detach().numpy()),
            ],
            f"{name}/conv",
            kernel_shape=list(weight.shape[2:]),
            strides=[4, 1] if stem else list(folded.stride),
            pads=pads,
        )
        return self.node("Relu", [result], f"{name}/relu") if relu else result

    def stage(self, name: str, stage: nn.Module, x: str) -> str:
        assert isinstance(stage, nn.Sequential)
        x = self.conv(f"{name}.0", stage[0], x)
        for index, block in enumerate(list(stage)[1:], 1):
            assert isinstance(block, Residual)
            inner = self.conv(f"{name}.{index}.squeeze", block.squeeze, x)
            inner = self.conv(f"{name}.{index}.expand", block.expand, inner)
            x = self.node("Add", [x, inner], f"{name}.{index}/add")
        return x

    def double_and_add(self, name: str, fine: str, coarse: str) -> str:
        doubled = self.node(
            "Resize",
            [coarse, "", "twice"],
            f"{name}/resize",
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        return self.node("Add", [fine, doubled], f"{name}/add")


def build(network: PlateDetector, metadata: Mapping[str, str]) -> onnx.ModelProto:
    """The network with its normalisations folded in, as a checked ONNX model."""
    network.eval().cpu()
    graph = _Graph()
    graph.constant("twice", np.array([1, 1, 2, 2], np.float32))
    graph.constant("rows", np.array([0, -1, OUTPUTS], np.int64))
    # Turned only after the cast: there a quantiser can stand before the turn, which OpenVINO then
    # does away with, since the bytes already lie as its convolutions want them.
    graph.constant("fours", np.array([0, 0, -1, 12], np.int64))
    fours = graph.node("Reshape", ["pictures", "fours"], "pictures/fours")
    x = graph.node("Cast", [fours], "pictures/float", to=TensorProto.FLOAT)
    x = graph.node("Transpose", [x], "pictures/planes", perm=[0, 3, 1, 2])
    x = graph.conv("stem", network.stem, x, stem=True)
    fine = graph.stage("stages.0", network.stages[0], x)
    middle = graph.stage("stages.1", network.stages[1], fine)
    coarse = graph.stage("stages.2", network.stages[2], middle)
    coarse = graph.conv("lateral.2", network.lateral[2], coarse)
    middle = graph.conv("lateral.1", network.lateral[1], middle)
    narrow = graph.conv("narrow", network.narrow, coarse)
    middle = graph.conv(
        "smooth.1", network.smooth[1], graph.double_and_add("middle", middle, narrow)
    )
    fine = graph.conv("lateral.0", network.lateral[0], fine)
    fine = graph.conv("smooth.0", network.smooth[0], graph.double_and_add("fine", fine, middle))
    levels = []
    for index, level in enumerate((fine, middle, coarse)):
        head = graph.conv(f"heads.{index}", network.heads[index], level)
        output = graph.conv(f"outputs.{index}", network.outputs[index], head)
        last = graph.node("Transpose", [output], f"level.{index}/last", perm=[0, 2, 3, 1])
        levels.append(graph.node("Reshape", [last, "rows"], f"level.{index}/rows"))
    graph.node("Concat", levels, "cells", axis=1)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "plate-detector",
            [helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["n", "h", "w", 3])],
            [helper.make_tensor_value_info("cells", TensorProto.FLOAT, ["n", "cells", OUTPUTS])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="training.detector.export",
    )
    model.ir_version = IR_VERSION
    helper.set_model_props(model, {**metadata, INPUT_COLOURS: "BGR"})
    onnx.checker.check_model(model, full_check=True)
    return model
