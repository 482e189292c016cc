"""Runs all measurements on a stack of its own. Takes a few minutes; touches nothing else."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from bench import api, load, multipart, processing, requeue, scale, transfer, tus, vision
from bench.report import Report, say
from detect_api.core.config import Settings
from detect_api.local.stack import Stack

PARTS = {
    "api": api.measure,
    "tus": tus.measure,
    "transfer": transfer.measure,
    "processing": processing.measure,
    "vision": vision.measure,
}
WHEN_NAMED = {
    "load": load.measure,
    "multipart": multipart.measure,
    "requeue": requeue.measure,
    "scale": scale.measure,
}
"""What takes too much disk, time or connections to be run without being asked for."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join([*PARTS, *WHEN_NAMED])}; "
                        f"by default {', '.join(PARTS)}")  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("out/bench.json"))
    chosen = parser.parse_args()
    report = Report()
    folder = Path(tempfile.mkdtemp(prefix="da-bench-"))
    say("starting PostgreSQL, SeaweedFS, API and one worker")
    stack = Stack(Settings(_env_file=None, data_dir=folder, port=0, workers=1))
    try:
        stack.start()
        for name in chosen.parts or PARTS:
            {**PARTS, **WHEN_NAMED}[name](stack, report)
    finally:
        stack.stop()
        shutil.rmtree(folder, ignore_errors=True)
    report.save(chosen.out)
    missed = [figure.name for figure in report.figures if not figure.reached]
    say(f"{len(report.figures) - len(missed)} of {len(report.figures)} targets reached")
    for name in missed:
        say(f"not reached: {name}")
    say(f"figures: {chosen.out}")


if __name__ == "__main__":
    main()
