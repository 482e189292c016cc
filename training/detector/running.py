"""One way to run a detector, whatever file it is in: checkpoint, ONNX or OpenVINO; one thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from training.detector.boxes import Floats, Image, Network
from training.detector.network import PlateDetector, prepare
from training.detector.start import load_onnx

Runtime = Literal["onnx", "openvino"]


def load(
    path: Path, *, runtime: Runtime = "openvino", precision: str = "f32", fixed: bool = False
) -> Network:
    """The detector in ``path``, ready to run on pictures whose sides are multiples of 32.

    ``runtime`` counts for ONNX files that we exported. ``fixed``: OpenVINO compiles the network
    for each size of pictures anew, instead of once for all: then it drops needless copies. A
    file with another interface, such as the pilot's, runs in PyTorch on the weights read from it.
    """
    torch.set_num_threads(1)
    if path.suffix == ".pt":
        network = PlateDetector()
        network.load_state_dict(torch.load(path, weights_only=True)["ema"])
        return in_torch(network)
    if path.suffix == ".onnx" and not _ours(path):
        network = PlateDetector()
        load_onnx(network, path)
        return in_torch(network)
    if path.suffix == ".onnx" and runtime == "onnx":
        return _in_onnx_runtime(path)
    return _in_openvino(path, precision, fixed=fixed)


def in_torch(network: PlateDetector) -> Network:
    """A PyTorch network, in float32."""
    network.eval()

    @torch.no_grad()
    def run(image: Image) -> Floats:
        output: Floats = network(prepare(torch.from_numpy(image)[None]))[0].numpy()
        return output

    return run


def _ours(path: Path) -> bool:
    import onnx

    return any(item.key == "colour_order" for item in onnx.load(path).metadata_props)


def _in_onnx_runtime(path: Path) -> Network:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(image: Image) -> Floats:
        return np.array(session.run(None, {name: image[None]})[0][0], np.float32)

    return run


def _in_openvino(path: Path, precision: str, *, fixed: bool) -> Network:
    import openvino

    config: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
    }
    core = openvino.Core()
    model = core.read_model(path)
    requests: dict[tuple[int, ...], Any] = {}

    def request(shape: tuple[int, ...]) -> Any:
        key = shape if fixed else ()
        if key not in requests:
            if fixed:
                model.reshape([1, *shape])
            requests[key] = core.compile_model(model, "CPU", config).create_infer_request()
        return requests[key]

    def run(image: Image) -> Floats:
        return np.array(request(image.shape).infer([image[None]])[0][0], np.float32)

    return run
