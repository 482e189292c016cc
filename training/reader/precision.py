"""What the reader's arithmetic costs and spoils: float32, bfloat16 and eight bits.

    python -m training.reader.precision [FOLDER]

For each precision on OpenVINO with one thread: the processor's milliseconds a crop in batches of
eight (the least of many runs), and the share of ``plates_val`` read right (exact / folded), cut by
the labelled boxes and read by the best path alone, without search, formats or second opinion.
What is in eight bits, ``quantise`` says.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from training.paths import MODELS
from training.reader import score

BATCH = 8
RUNS = 40


def main() -> None:
    folder = Path(sys.argv[1]) if sys.argv[1:] else MODELS
    core = openvino.Core()
    plain, eight = (core.read_model(folder / f"reader{kind}.onnx") for kind in ("", ".int8"))
    variants = {
        "f32": (plain, "f32"), "bf16": (plain, "bf16"),
        "int8, the rest f32": (eight, "f32"), "int8, the rest bf16": (eight, "bf16"),
    }  # fmt: skip
    trials = [trial for trial in score.trials() if trial.name != "real"]
    print("| precision | ms a crop |", " | ".join(trial.name for trial in trials), "|")
    print("| --- | --- |", " | ".join("---" for _ in trials), "|")
    for name, (variant, hint) in variants.items():
        options = {
            "INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1,
        }  # fmt: skip
        request = core.compile_model(variant, "CPU", options).create_infer_request()
        shares = [
            score.score(trial, score.greedy(_read(request, trial.pictures))) for trial in trials
        ]
        cells = " | ".join(f"{exact:.3f} / {folded:.3f}" for exact, folded in shares)
        print(f"| {name} | {_milliseconds(request, trials[0].pictures[:BATCH]):.2f} | {cells} |")


def _read(request: Any, pictures: np.ndarray[Any, np.dtype[np.uint8]]) -> Any:
    parts = [pictures[i : i + BATCH] for i in range(0, len(pictures), BATCH)]
    return np.concatenate([np.array(request.infer([part])[0], np.float32) for part in parts])


def _milliseconds(request: Any, batch: Any) -> float:
    times = []
    for _ in range(RUNS):
        started = time.process_time()
        request.infer([batch])
        times.append(time.process_time() - started)
    return min(times) / len(batch) * 1000


if __name__ == "__main__":
    main()
