"""The reader's convolutions in eight bits, calibrated on real crops.

The first convolution sees the raw picture and the last one feeds the encoder: in eight bits these
two cost Brazilian plates (``precision`` shows it), and the encoder's products gain nothing.
"""

from __future__ import annotations

from typing import Any

import cv2
import nncf
import numpy as np

from training.reader import crops

PICTURES = 500


def eight_bits(model: Any) -> Any:
    """An ONNX model of the reader with quantised convolutions; the same input and output."""
    cv2.setNumThreads(1)
    seen = crops.CropAugmenter(crops.load(validation=False), np.random.default_rng(0))
    pictures = [{"pictures": seen.sample()[0][None]} for _ in range(PICTURES)]
    convolutions = [node.name for node in model.graph.node if node.op_type == "Conv"]
    quantised = nncf.quantize(
        model,
        nncf.Dataset(pictures),
        subset_size=PICTURES,
        preset=nncf.QuantizationPreset.MIXED,
        target_device=nncf.TargetDevice.CPU,
        fast_bias_correction=False,
        ignored_scope=nncf.IgnoredScope(
            names=[convolutions[0], convolutions[-1]], types=["MatMul"], validate=False
        ),
    )
    del quantised.metadata_props[:]
    quantised.metadata_props.extend(model.metadata_props)
    return quantised
