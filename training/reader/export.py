"""The trained reader as an ONNX file.

python -m training.reader.export [CHECKPOINT] [OUT]
"""

from __future__ import annotations

import sys
from pathlib import Path

import onnx
import torch

from training.paths import MODELS, WORK
from training.reader.model import ALPHABET, HEIGHT, WIDTH, Exported, Reader
from training.reader.quantise import eight_bits


def export(checkpoint: Path, folder: Path) -> None:
    """Write the running average of a checkpoint as ``reader.onnx`` and ``reader.int8.onnx``."""
    saved = torch.load(checkpoint, weights_only=True)
    network = Reader()
    network.load_state_dict(saved["average"])
    example = torch.zeros(2, HEIGHT, WIDTH, 3, dtype=torch.uint8)
    out = folder / "reader.onnx"
    torch.onnx.export(
        Exported(network).eval(), (example,), out, dynamo=False, opset_version=17,
        input_names=["pictures"], output_names=["probabilities"],
        dynamic_axes={"pictures": {0: "n"}, "probabilities": {0: "n"}},
    )  # fmt: skip
    model = onnx.load(out)
    samples = saved["samples"] * saved["recipe"]["processes"]
    onnx.helper.set_model_props(
        model, {"alphabet": ALPHABET, "samples": str(samples), "card": "reader.md"}
    )
    onnx.save(model, out)
    onnx.save(eight_bits(model), folder / "reader.int8.onnx")


if __name__ == "__main__":
    arguments = [Path(a) for a in sys.argv[1:]]
    export(
        arguments[0] if arguments else WORK / "reader" / "checkpoint.pt",
        arguments[1] if arguments[1:] else MODELS,
    )
