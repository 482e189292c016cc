"""How sure a vote is: tracks made of labelled pictures, and what voting makes of them.

    python -m bench.voting LABELS.jsonl

A track is one picture five times as a worse camera sees it (``evaluation.worn``). Labels as for
``detect-api evaluate``. It prints how often the readings, the surest of each track and the vote are
right, and how well their confidence tells it, for several values of ``vote.MOST_EFFECTIVE``.
``--region-given`` tells the reader each label's region and takes labels that have one: what that
adds is the most that a region voted from the track itself could add.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.report import say
from detect_api.evaluation import labels, worn
from detect_api.evaluation.labels import PictureLabel
from detect_api.evaluation.run import load
from detect_api.evaluation.score import OVERLAP
from detect_api.vision import vote
from detect_api.vision.alike import look_alike
from detect_api.vision.detect import PlateDetector
from detect_api.vision.evidence import Evidence
from detect_api.vision.pipeline import Engine
from detect_api.vision.read import PlateReader
from detect_api.vision.track import iou
from detect_api.vision.types import Frame, Observation

FRAMES = 5
VALUES = (1.0, 1.25, 1.5, 2.0, 3.0, 6.0)

Outcome = tuple[float, bool]
"""A confidence, and whether the text was right (O and 0, I and 1 alike)."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take every n-th label only")
    parser.add_argument("--regions-only", action="store_true", help="labels with a region only")
    parser.add_argument("--region-given", action="store_true", help="the same, and tell the reader")
    chosen = parser.parse_args()
    known = labels.pictures(chosen.labels)[:: chosen.every]
    if chosen.regions_only or chosen.region_given:
        known = [label for label in known if label.region is not None]
    engine = Engine(PlateDetector.load(side=worn.SIDE), PlateReader.load())
    given = chosen.region_given
    tracks = [
        (label, list(_track(label, engine, label.region if given else None))) for label in known
    ]
    read = [(label, seen) for label, seen in tracks if seen]
    say(f"{len(read)} tracks of up to {FRAMES} frames")
    _tell("single", [_outcome(label, o) for label, seen in read for o in seen])
    surest = ((label, max(seen, key=_confidence)) for label, seen in read)
    _tell("surest", [_outcome(label, o) for label, o in surest])
    for value in VALUES:
        vote.MOST_EFFECTIVE = value
        voted = (_voted(label, seen) for label, seen in read)
        _tell(f"vote, {value:g}", [outcome for outcome in voted if outcome is not None])


def _track(label: PictureLabel, engine: Engine, region: str | None) -> Iterator[Observation]:
    """The readings of a made-up track."""
    for number, (image, box) in enumerate(worn.looks(label, load(label.image), FRAMES)):
        for observation in engine.look(Frame(number, number / 10, image), region=region):
            if observation.reading is not None and iou(observation.box, box) > OVERLAP:
                yield observation


def _confidence(observation: Observation) -> float:
    return observation.reading.confidence if observation.reading else 0.0


def _outcome(label: PictureLabel, observation: Observation) -> Outcome:
    assert observation.reading is not None
    return observation.reading.confidence, _right(label, observation.reading.text)


def _voted(label: PictureLabel, seen: Sequence[Observation]) -> Outcome | None:
    gathered = Evidence.of(seen[0])
    for observation in seen[1:]:
        gathered.add(Evidence.of(observation))
    result = vote.vote(gathered)
    return None if result is None else (result.confidence, _right(label, result.text))


def _right(label: PictureLabel, text: str) -> bool:
    return look_alike(text) in {look_alike(accepted) for accepted in label.accepted}


def _tell(name: str, outcomes: Sequence[Outcome]) -> None:
    """How many were right, how surprising that is (nats), and how many of the sure were right."""
    logs = [math.log(min(max(c if ok else 1 - c, 1e-3), 1.0)) for c, ok in outcomes]
    sure = [ok for c, ok in outcomes if c >= 0.85]
    say(
        f"{name:10} {len(outcomes):5}  right {sum(ok for _, ok in outcomes) / len(outcomes):.3f}  "
        f"surprise {-math.fsum(logs) / len(logs):.4f}  "
        f"of {len(sure)} surer than .85 {sum(sure) / max(1, len(sure)):.3f}"
    )


if __name__ == "__main__":
    main()
