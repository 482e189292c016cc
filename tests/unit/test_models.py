"""The shipped weights: pinned, small, and of the shapes that the code counts on."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from detect_api.vision import detect, read
from detect_api.vision.confidence import shipped_calibration
from detect_api.vision.models import FOLDER, pinned, shipped
from detect_api.vision.runtime import load


def test_the_manifest_names_each_file_with_its_digest() -> None:
    files = {path.name: path.read_bytes() for path in FOLDER.glob("*.onnx")}
    assert pinned() == {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    assert {detect.MODEL, read.MODEL} <= set(files)


def test_all_weights_together_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.is_file()) <= 15e6


@pytest.mark.parametrize("device", ["CPU", "onnx"])
def test_the_detector_gives_a_row_for_each_cell(device: str) -> None:
    path, digest = shipped(detect.MODEL)
    network = load(path, sha256=digest, device=device)
    output = network.run(np.zeros((2, 64, 96, 3), np.uint8))
    assert output.shape == (2, 8 * 12 + 4 * 6 + 2 * 3, 13)
    assert output.dtype == np.float32


@pytest.mark.parametrize("device", ["CPU", "onnx"])
def test_the_reader_gives_probabilities_for_each_step(device: str) -> None:
    path, digest = shipped(read.MODEL)
    network = load(path, sha256=digest, device=device)
    noise = np.random.default_rng(1).integers(0, 256, (3, 64, 160, 3), dtype=np.uint8)
    output = network.run(noise)
    assert output.shape == (3, 80, 37)
    assert np.allclose(output.sum(axis=2), 1, atol=0.02)


def test_the_precision_of_each_model_is_told() -> None:
    path, digest = shipped(detect.MODEL)
    assert load(path, sha256=digest).info.precision == "int8"
    path, digest = shipped("reader.onnx")
    assert load(path, sha256=digest, bf16=True).info.precision in ("bf16", "f32")
    assert load(path, sha256=digest).info.precision == "f32"


def test_confidence_is_fitted_to_these_weights() -> None:
    weights = shipped_calibration()
    assert weights.probability > 0
    assert weights.agreed > weights.differed


def test_loading_the_models_tells_nobody_of_it() -> None:
    program = """
import multiprocessing, sys, urllib.request
calls = []
urllib.request.urlopen = lambda *given, **more: calls.append(given)
multiprocessing.Process.start = lambda self: calls.append(self)
from detect_api.vision.pipeline import Engine
Engine.load(threads=1)
from concurrent.futures import thread
thread._python_exit()  # what was handed to threads has been done
loaded = [name for name in sys.modules if "telemetry" in name and sys.modules[name] is not None]
print(calls, [name for name in loaded if not name.startswith("openvino.tools")])
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    assert ran.stdout == "[] []\n"
