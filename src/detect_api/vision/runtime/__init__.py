"""Running a neural network from a model file, whatever library does it.

A ``Network`` is one model file, pinned by its SHA-256, on one device. ``load`` picks the library
from the device's name: OpenVINO for ``CPU``, ``GPU``, ``NPU`` …, ONNX Runtime for ``onnx`` and
``onnx:cuda``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from detect_api.core.errors import Unavailable
from detect_api.vision.types import ModelInfo

FloatArray = NDArray[np.float32]

InputArray = NDArray[np.float32] | NDArray[np.uint8]
"""float32 or uint8, whichever the model's input is."""


QUANTISED = ".int8"
"""How the name of a model file ends, before its suffix, if its layers compute in eight bits."""


class Network(Protocol):
    """One model with one input and one output.

    ``run`` gives bit-identical output for identical input, whatever ran before it. It is not
    safe to call from two threads at once.
    """

    @property
    def info(self) -> ModelInfo: ...

    @property
    def metadata(self) -> Mapping[str, str]:
        """The key/value pairs that the model file carries beside its weights."""
        ...

    def run(self, array: InputArray, *, often: bool = False) -> FloatArray:
        """The output for one input array. The caller owns what is returned.

        ``often``: many arrays of this shape will follow, so that the network may take time and
        memory for the first to be faster with all.
        """
        ...


def load(
    path: Path, *, sha256: str, threads: int = 1, device: str = "CPU", bf16: bool = False
) -> Network:
    """Load a model file for inference with ``threads`` threads.

    ``bf16``: compute in bfloat16 where OpenVINO's device has instructions for it, else in float32;
    ``Network.info`` says which it is, or that the file is quantised. Raises ``Unavailable`` (code
    ``model_unavailable``) if the file is missing or is not the one whose digest is given, or if
    the device or its library is not there.
    """
    info = verify(path, sha256)
    if device.lower() == "onnx" or device.lower().startswith("onnx:"):
        from detect_api.vision.runtime.onnx import OnnxNetwork

        return OnnxNetwork(path, info, threads=threads, provider=device[5:] or "cpu")
    from detect_api.vision.runtime.openvino import OpenVinoNetwork

    return OpenVinoNetwork(path, info, threads=threads, device=device, bf16=bf16)


def verify(path: Path, sha256: str) -> ModelInfo:
    """Name and digest of a model file that is known to be the expected one."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Unavailable(
            f"The model file {path.name} cannot be read ({error.strerror}): install the package "
            "again from requirements.lock.",
            code="model_unavailable",
        ) from error
    if found != sha256:
        raise Unavailable(
            f"The model file {path.name} has the SHA-256 {found[:12]}… where {sha256[:12]}… is "
            "pinned: install the package again from requirements.lock.",
            code="model_unavailable",
        )
    precision = "int8" if path.stem.endswith(QUANTISED) else "f32"
    return ModelInfo(path.stem.removesuffix(QUANTISED), found, precision)
