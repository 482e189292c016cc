"""``make accuracy``: detect-api and its peers on the same labelled pictures, into docs/ACCURACY.md.

The readers run one after the other. What each said is kept in ``--out``, so that readers which are
not run again keep their rows, with the day on which they were measured.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import accuracy_page
from bench.report import say
from detect_api.evaluation import labels, predictions
from detect_api.evaluation.predictions import Prediction
from detect_api.evaluation.report import by_set
from detect_api.evaluation.score import Answer, Best, score
from detect_api.vision.types import Plate

ROOT = Path(__file__).parent.parent
PEERS = ROOT / ".venv-peers" / "bin" / "python"


@dataclass(frozen=True, slots=True)
class Peer:
    """A reader: its name in the tables, the wheel whose version is told, the Python it lives in,
    which of its answers at a label is its best, whether it has said them as another peer, and
    whether of each answer the first candidate is taken, not its text.
    """

    title: str
    wheel: str
    python: Path
    best: Best = "nearest"
    heard_as: str | None = None
    first_candidate: bool = False


HERE = Path(sys.executable)

READERS = {
    "ours": Peer("detect-api", "detect-api", HERE),
    "rapidocr": Peer("RapidOCR", "rapidocr", HERE),
    "rapidocr_surest": Peer("RapidOCR, surest line", "rapidocr", HERE, "surest", "rapidocr"),
    "simplelpr": Peer("SimpleLPR", "SimpleLPR", PEERS),
    "simplelpr_templates": Peer(
        "SimpleLPR, all templates", "SimpleLPR", PEERS, "nearest", "simplelpr", True
    ),
    "platerec": Peer("platerec", "platerec", PEERS),
}
"""By the module of ``bench.peers``, unless they are heard as another one."""

OURS = "ours"


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.accuracy", description=__doc__)
    parser.add_argument("labels", type=Path, help="JSON lines: set, image, box, text")
    parser.add_argument(
        "--readers", nargs="*", choices=READERS, default=list(READERS), metavar="READER",
        help=f"run these only, of {', '.join(READERS)}; with none, score kept answers again",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("out/accuracy"))
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "ACCURACY.md")
    chosen = parser.parse_args()
    if not chosen.labels.is_file():
        parser.exit(
            1,
            f"There are no labelled pictures at {chosen.labels}: the data are no part of the "
            "repository.\nName a file of your own: make accuracy LABELS=path/to/labels.jsonl\n"
            "What must be in it: docs/CLI.md, detect-api evaluate.\n",
        )
    chosen.out.mkdir(parents=True, exist_ok=True)
    results_file = chosen.out / "results.json"
    results: dict[str, Any] = {}
    if results_file.exists():
        results = json.loads(results_file.read_text(encoding="utf-8"))
    prepared = prepare(chosen.labels, chosen.out)
    for name, peer in READERS.items():
        if peer.heard_as is not None and peer.heard_as in results:
            results[name] = dict(results[peer.heard_as])
        elif name in chosen.readers:
            say(f"{peer.title} reads {chosen.labels}")
            results.setdefault(name, {}).update(run(name, peer, prepared, chosen.out))
        if name in results:
            results[name] |= scores(name, peer, prepared, chosen.out)
    if OURS not in results:
        parser.exit(1, f"Tables need our own row: add {OURS} to --readers.\n")
    ordered = {name: results[name] for name in READERS if name in results}
    results_file.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
    text = chosen.page.read_text(encoding="utf-8")
    chosen.page.write_text(accuracy_page.filled(text, ordered), encoding="utf-8")
    say(f"tables: {chosen.page}; figures: {results_file}")


def prepare(path: Path, folder: Path) -> Path:
    """The labels as the evaluation takes them, regions and all, for programs that cannot ask it."""
    prepared = folder / "labels.jsonl"
    with prepared.open("w", encoding="utf-8") as file:
        for label in labels.pictures(path):
            box = label.box
            row = {
                "set": label.set,
                "image": str(label.image.resolve()),
                "box": [box.x1, box.y1, box.x2, box.y2],
                "text": label.accepted[0],
                "also_ok": label.accepted[1:],
                "region": label.region,
            }
            file.write(json.dumps(row) + "\n")
    return prepared


def run(name: str, peer: Peer, prepared: Path, folder: Path) -> dict[str, Any]:
    """Lets a reader read everything, and tells when, on what and in which version."""
    answers = (folder / f"{name}.jsonl").resolve()
    command: list[str | Path]
    command = [peer.python, "-m", f"bench.peers.{name}", prepared.resolve(), answers]
    subprocess.run(command, cwd=ROOT, check=True)
    if name == OURS:
        command = [Path(sys.executable).with_name("detect-api"), "evaluate", prepared]
        with (folder / f"{name}.json").open("wb") as file:
            subprocess.run([*command, "--region-given", "--json"], stdout=file, check=True)
    ask = f"from importlib.metadata import version; print(version({peer.wheel!r}))"
    version = subprocess.run([peer.python, "-c", ask], capture_output=True, text=True, check=True)
    return {
        "version": version.stdout.strip(),
        "measured": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": _processor(),
    }


def scores(name: str, peer: Peer, prepared: Path, folder: Path) -> dict[str, Any]:
    """What a reader's kept answers are worth."""
    read = predictions.read(folder / f"{peer.heard_as or name}.jsonl", prepared)
    always = {"title": peer.title, "clocks": predictions.mean_milliseconds(read)}
    if name == OURS:
        evaluated = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        parts = ("models", "sets", "with_region", "reliability", "milliseconds")
        return {**{part: evaluated[part] for part in parts}, **always}
    if peer.first_candidate:
        read = {
            (picture, None): first_candidates(prediction)
            for (picture, region), prediction in read.items()
            if region is None
        }
    known = labels.pictures(prepared)
    plain = predictions.answers(known, read, best=peer.best)
    told = predictions.answers(known, read, with_region=True, best=peer.best)
    return {"sets": _by_set(list(plain)), "with_region": _by_set(list(told)), **always}


def first_candidates(prediction: Prediction) -> Prediction:
    """What a reader would have said that takes its first candidate."""
    tracks = [
        replace(track, text=track.candidates[0].text, confidence=track.candidates[0].confidence)
        if isinstance(track, Plate) and track.candidates
        else track
        for track in prediction.tracks
    ]
    return replace(prediction, tracks=tuple(tracks))


def _by_set(answers: list[Answer]) -> dict[str, Any]:
    return {name: asdict(score(own)) for name, own in by_set(answers).items()}


def _processor() -> str:
    """What the machine calls its processor."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main()
