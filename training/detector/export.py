"""Write a trained detector as ONNX, in float and in eight bits.

    python -m training.detector.export CHECKPOINT.pt training/work/detector/export

writes ``detector.onnx`` (float32) and ``detector.int8.onnx``, each with its name,
version, date and the digest of its recipe as metadata, and prints their SHA-256.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import onnx
import torch

from training.detector import graph, quantise, running
from training.detector.boxes import Image
from training.detector.network import PlateDetector

log = logging.getLogger(__name__)

NAME = "plate-detector"
VERSION = "1"
RECIPE = ("network", "feed", "canvas", "paste", "distract", "damage", "targets", "loss", "train")
"""The modules that decide what is learnt."""
TOLERANCE = 2e-3
"""Largest difference allowed between PyTorch and the exported graph, in outputs of cells."""


def recipe_digest(labels: Path | None) -> str:
    """SHA-256 over the modules of the recipe and the label file."""
    digest = hashlib.sha256()
    for name in RECIPE:
        digest.update((Path(__file__).parent / f"{name}.py").read_bytes())
    if labels is not None:
        digest.update(labels.read_bytes())
    return digest.hexdigest()


def export(checkpoint: Path, folder: Path, *, labels: Path | None) -> list[Path]:
    """The files written. Raises ``ArithmeticError`` when the graph differs from the network."""
    folder.mkdir(parents=True, exist_ok=True)
    content = torch.load(checkpoint, weights_only=True)
    network = PlateDetector()
    network.load_state_dict(content["ema"])
    metadata = {
        "name": NAME,
        "version": VERSION,
        "date": datetime.now(UTC).date().isoformat(),
        "recipe": recipe_digest(labels),
        "steps": str(content["step"]),
        "strides": "8,16,32",
        "licence": "Apache-2.0",
    }
    plain = folder / "detector.onnx"
    onnx.save(graph.build(network, metadata), plain)
    check(network, plain, next(quantise.calibration(1))[0])
    small = folder / "detector.int8.onnx"
    onnx.save(quantise.for_both(onnx.load(plain)), small)
    return [plain, small]


def check(network: PlateDetector, exported: Path, picture: Image) -> None:
    """Compare PyTorch with both runtimes on one picture."""
    wanted = running.in_torch(network)(picture)
    for runtime in ("onnx", "openvino"):
        given = running.load(exported, runtime=runtime)(picture)
        difference = float(np.abs(given - wanted).max())
        log.info("%s differs from PyTorch by at most %.2g", runtime, difference)
        if difference > TOLERANCE:
            raise ArithmeticError(f"{exported.name} in {runtime} is off by {difference:.3g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--labels", type=Path, help="the label file it was trained on")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    cv2.setNumThreads(1)
    for path in export(options.checkpoint, options.folder, labels=options.labels):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        log.info("%s %d bytes SHA-256 %s", path, path.stat().st_size, digest)


if __name__ == "__main__":
    main()
