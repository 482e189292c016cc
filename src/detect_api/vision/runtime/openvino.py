"""Networks on OpenVINO, the default."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

# Else importing it reports to a statistics service on the internet, out of a process that is forked
# beside our threads and may hang for ever.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino  # noqa: E402

from detect_api.core.errors import Unavailable  # noqa: E402
from detect_api.vision.runtime import FloatArray, InputArray  # noqa: E402
from detect_api.vision.types import ModelInfo  # noqa: E402


class OpenVinoNetwork:
    """A model compiled once for all shapes, and once more for the shape that comes often.

    Compiled for one shape the detector takes a fifth less time, but compiling takes 0.2 s, and the
    memory of a second model. A result is the same again only in the same way: which one computes
    is decided by the caller and the shape, never by what ran before.
    """

    def __init__(
        self, path: Path, info: ModelInfo, *, threads: int, device: str, bf16: bool
    ) -> None:
        core = openvino.Core()
        try:
            hint = "bf16" if bf16 and _has_bf16(core, device) else "f32"
            model = core.read_model(path)
            config = _config(device, threads, hint)
            compiled = core.compile_model(model, device, config)
        except RuntimeError as error:
            raise Unavailable(
                f"OpenVINO cannot load {path.name} on the device {device!r}: set DEVICE to one of "
                f"{', '.join(core.available_devices)} (or to onnx, for ONNX Runtime).",
                code="model_unavailable",
            ) from error
        self._info = info if info.precision == "int8" else replace(info, precision=hint)
        self._metadata = _metadata(model)
        self._request = compiled.create_infer_request()
        self._path, self._device, self._compile_config = path, device, config
        self._special: tuple[tuple[int, ...], Any] | None = None

    @property
    def info(self) -> ModelInfo:
        return self._info

    @property
    def metadata(self) -> Mapping[str, str]:
        return self._metadata

    def run(self, array: InputArray, *, often: bool = False) -> FloatArray:
        request = self._for_shape(array.shape) if often else self._request
        result = request.infer([np.ascontiguousarray(array)])
        return np.array(result[0], dtype=np.float32)

    def _for_shape(self, shape: tuple[int, ...]) -> Any:
        """The request compiled for one shape; only the last one is kept."""
        if self._special is None or self._special[0] != shape:
            core = openvino.Core()
            model = core.read_model(self._path)
            model.reshape(list(shape))
            compiled = core.compile_model(model, self._device, self._compile_config)
            self._special = shape, compiled.create_infer_request()
        return self._special[1]


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
