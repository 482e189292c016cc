"""Networks on OpenVINO, the default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from detect_api.core.errors import Unavailable
from detect_api.vision.runtime import FloatArray, InputArray
from detect_api.vision.types import ModelInfo


class OpenVinoNetwork:
    """A model compiled once with its dynamic shapes.

    One dynamic model was as fast as one static model for each input shape, and takes 50 MB less
    for each. Compiling takes 0.2 s, so that no cache on disk is worth its risks.
    """

    def __init__(
        self, path: Path, info: ModelInfo, *, threads: int, device: str, bf16: bool
    ) -> None:
        core = openvino.Core()
        try:
            hint = "bf16" if bf16 and _has_bf16(core, device) else "f32"
            model = core.read_model(path)
            compiled = core.compile_model(model, device, _config(device, threads, hint))
        except RuntimeError as error:
            raise Unavailable(
                f"OpenVINO cannot load {path.name} on the device {device!r}: set DEVICE to one of "
                f"{', '.join(core.available_devices)} (or to onnx, for ONNX Runtime).",
                code="model_unavailable",
            ) from error
        self._info = info if info.precision == "int8" else replace(info, precision=hint)
        self._metadata = _metadata(model)
        self._request = compiled.create_infer_request()

    @property
    def info(self) -> ModelInfo:
        return self._info

    @property
    def metadata(self) -> Mapping[str, str]:
        return self._metadata

    def run(self, array: InputArray) -> FloatArray:
        result = self._request.infer([np.ascontiguousarray(array)])
        return np.array(result[0], dtype=np.float32)


def _has_bf16(core: openvino.Core, device: str) -> bool:
    return "BF16" in core.get_property(device, "OPTIMIZATION_CAPABILITIES")


def _config(device: str, threads: int, hint: str) -> dict[str, Any]:
    config: dict[str, Any] = {"INFERENCE_PRECISION_HINT": hint}
    if device.upper() == "CPU":
        config |= {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    return config


def _metadata(model: Any) -> dict[str, str]:
    """The ONNX metadata, which OpenVINO keeps under ``framework``."""
    if not model.has_rt_info("framework"):
        return {}
    framework = model.get_rt_info()["framework"]
    return {str(key): str(value.astype(str)) for key, value in framework.items()}
