"""Eight-bit detectors: post-training quantisation, calibrated on training scenes.

The last convolutions (logits, log sizes, corners) stay in float: their outputs span too much for
eight bits and they cost next to nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import cv2
import numpy as np
import onnx

from training import paths
from training.detector.boxes import Image, letterbox
from training.detector.scenes import WEIGHTS

PICTURES = 300
WIDTH, HEIGHT = 640, 384


def calibration(count: int = PICTURES, seed: int = 0) -> Iterator[Image]:
    """Training scenes as the detector sees them, (1, 384, 640, 3), drawn by ``seed``."""
    folder = paths.DATA / "plates_train"
    lines = (folder / "labels.jsonl").read_text().splitlines()
    names = [json.loads(line)["image"] for line in lines]
    usual = [name for name in names if WEIGHTS[name.split("/")[0]] >= 0.5]
    for index in np.random.default_rng(seed).permutation(len(usual))[:count]:
        image = cv2.imread(str(folder / usual[index]))
        if image is None:
            raise FileNotFoundError(folder / usual[index])
        yield letterbox(np.asarray(image, np.uint8), WIDTH, HEIGHT)[0][None]


def for_both(model: onnx.ModelProto) -> onnx.ModelProto:
    """An ONNX model with QuantizeLinear nodes, which OpenVINO and ONNX Runtime both run."""
    import nncf

    quantised: onnx.ModelProto = nncf.quantize(
        model,
        nncf.Dataset([{"pictures": picture} for picture in calibration()]),
        subset_size=PICTURES,
        preset=nncf.QuantizationPreset.MIXED,
        target_device=nncf.TargetDevice.CPU,
        fast_bias_correction=True,
        ignored_scope=nncf.IgnoredScope(patterns=["outputs.*"]),
    )
    del quantised.metadata_props[:]
    quantised.metadata_props.extend(model.metadata_props)
    return quantised
