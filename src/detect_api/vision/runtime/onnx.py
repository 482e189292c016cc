"""Networks on ONNX Runtime, which the operator may install beside the package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from detect_api.core.errors import Unavailable
from detect_api.vision.runtime import FloatArray, InputArray
from detect_api.vision.types import ModelInfo

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxNetwork:
    """A model in an ONNX Runtime session; ``provider`` is ``cpu`` or ``cuda``."""

    def __init__(self, path: Path, info: ModelInfo, *, threads: int, provider: str) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise Unavailable(
                "DEVICE asks for ONNX Runtime, which is not installed: pip install onnxruntime "
                "(onnxruntime-gpu for CUDA), or set DEVICE=CPU.",
                code="model_unavailable",
            ) from error
        wanted = _PROVIDERS.get(provider.lower())
        if wanted is None or wanted not in onnxruntime.get_available_providers():
            raise Unavailable(
                f"ONNX Runtime has no {provider!r} here: set DEVICE to onnx, onnx:cuda or CPU.",
                code="model_unavailable",
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._info = info
        self._session = onnxruntime.InferenceSession(path, options, providers=[wanted])
        self._input = self._session.get_inputs()[0].name
        self._metadata = dict(self._session.get_modelmeta().custom_metadata_map)

    @property
    def info(self) -> ModelInfo:
        return self._info

    @property
    def metadata(self) -> Mapping[str, str]:
        return self._metadata

    def run(self, array: InputArray, *, often: bool = False) -> FloatArray:  # noqa: ARG002
        (result,) = self._session.run(None, {self._input: np.ascontiguousarray(array)})
        return np.asarray(result, dtype=np.float32)
