"""Milliseconds a picture takes, one thread, for each kind of detector file.

    python -m training.detector.latency training/work/detector/export

Milliseconds of processor time, since other work on the machine inflates those of the clock. Each
variant in turn, several times over, so that a busy moment hits all of them; the least of all runs
stands beside the median, in which other work still shows by what it throws out of the caches.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from training.detector import running
from training.detector.boxes import Image, Network

SIZES = ((640, 384), (1280, 736))
ROUNDS, RUNS = 12, 6


def variants(folder: Path) -> dict[str, Network]:
    """The ways to run the files of an export."""
    plain, small = folder / "detector.onnx", folder / "detector.int8.onnx"
    return {
        "ONNX Runtime f32": running.load(plain, runtime="onnx"),
        "ONNX Runtime int8": running.load(small, runtime="onnx"),
        "OpenVINO f32": running.load(plain),
        "OpenVINO bf16": running.load(plain, precision="bf16"),
        "OpenVINO int8": running.load(small),
        "OpenVINO f32, fixed size": running.load(plain, fixed=True),
        "OpenVINO bf16, fixed size": running.load(plain, precision="bf16", fixed=True),
        "OpenVINO int8, fixed size": running.load(small, fixed=True),
    }


def measure(networks: dict[str, Network], picture: Image) -> dict[str, tuple[float, float]]:
    """Least and median milliseconds of each."""
    taken: dict[str, list[float]] = {name: [] for name in networks}
    for network in networks.values():
        network(picture)
    for _ in range(ROUNDS):
        for name, network in networks.items():
            for _ in range(RUNS):
                began = time.process_time()
                network(picture)
                taken[name].append(1e3 * (time.process_time() - began))
    return {name: (min(values), float(np.median(values))) for name, values in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    networks = variants(options.folder)
    rng = np.random.default_rng(0)
    columns = {
        (width, height): measure(
            networks, rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        )
        for width, height in SIZES
    }
    lines = [
        "| variant | " + " | ".join(f"{w} x {h}: least, median" for w, h in SIZES) + " |",
        "|---|" + "---|" * len(SIZES),
    ]
    for name in networks:
        cells = [f"{columns[size][name][0]:.2f}, {columns[size][name][1]:.2f}" for size in SIZES]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
