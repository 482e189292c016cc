"""How sure a vote is: tracks made of labelled pictures, and what voting makes of them.

    python -m bench.voting LABELS.jsonl

A track is one picture, shrunk, blurred, dimmed and compressed five times, a little differently each
time and growing as if the car came nearer. Labels as for ``detect-api evaluate``. It prints how
often the readings, the surest of each track and the vote are right, and how well their confidence
tells it, for several values of ``vote.MOST_EFFECTIVE``. Nothing here is trained.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from bench.report import say
from detect_api.evaluation import labels
from detect_api.evaluation.labels import PictureLabel
from detect_api.evaluation.run import load
from detect_api.vision import vote
from detect_api.vision.alike import look_alike
from detect_api.vision.detect import PlateDetector
from detect_api.vision.pipeline import Engine
from detect_api.vision.read import PlateReader
from detect_api.vision.track import iou
from detect_api.vision.types import Box, Frame, Image, Observation

FRAMES = 5
SMALLEST = 28.0
"""The least width in pixels to which a plate is shrunk."""

VALUES = (1.5, 2.0, 3.0, 4.0, 6.0)

Outcome = tuple[float, bool]
"""A confidence, and whether the text was right (O and 0, I and 1 alike)."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take every n-th label only")
    chosen = parser.parse_args()
    known = labels.pictures(chosen.labels)[:: chosen.every]
    # The plate fills much of the picture, so that it takes no large one to find it again.
    engine = Engine(PlateDetector.load(side=320), PlateReader.load())
    tracks = [(label, list(_track(label, engine))) for label in known]
    read = [(label, seen) for label, seen in tracks if seen]
    say(f"{len(read)} tracks of up to {FRAMES} frames")
    _tell("single", [_outcome(label, o) for label, seen in read for o in seen])
    surest = ((label, max(seen, key=_confidence)) for label, seen in read)
    _tell("surest", [_outcome(label, o) for label, o in surest])
    for value in VALUES:
        vote.MOST_EFFECTIVE = value
        voted = (_voted(label, seen) for label, seen in read)
        _tell(f"vote, {value:g}", [outcome for outcome in voted if outcome is not None])


def _track(label: PictureLabel, engine: Engine) -> Iterator[Observation]:
    """The readings of a made-up track; the same for the same label."""
    image = load(label.image)
    rng = np.random.default_rng(int(label.box.x1 * 7919 + label.box.y1 * 104729) + 1)
    margin = label.box.width
    left, top = max(0, int(label.box.x1 - margin)), max(0, int(label.box.y1 - margin))
    part = image[top : int(label.box.y2 + margin), left : int(label.box.x2 + margin)]
    box = Box(
        label.box.x1 - left, label.box.y1 - top, label.box.x2 - left, label.box.y2 - top
    )  # fmt: skip
    size, blur = rng.uniform(0.25, 0.9), rng.uniform(0, 1.4)
    quality, noise = int(rng.integers(22, 60)), rng.uniform(0, 8)
    for number in range(FRAMES):
        scale = size * (0.7 + 0.3 * number / (FRAMES - 1))
        scale = min(1.0, max(scale, SMALLEST / box.width))
        seen = _seen(part, scale, blur * rng.uniform(0.5, 1.2), noise, quality, rng)
        where = Box(box.x1 * scale, box.y1 * scale, box.x2 * scale, box.y2 * scale)
        for observation in engine.look(Frame(number, number / 10, seen)):
            if observation.reading is not None and iou(observation.box, where) > 0.2:
                yield observation


def _seen(
    image: Image, scale: float, blur: float, noise: float, quality: int, rng: np.random.Generator
) -> Image:
    """A picture as a worse camera shows it."""
    height, width = image.shape[:2]
    size = max(32, int(width * scale)), max(32, int(height * scale))
    if scale < 0.8:
        image = cast(Image, cv2.GaussianBlur(image, (0, 0), 0.45 / scale))
    matrix = np.array([[scale, 0, rng.uniform(0, 1)], [0, scale, rng.uniform(0, 1)]])
    shrunk = cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    if blur > 0.25:
        shrunk = cv2.GaussianBlur(shrunk, (0, 0), blur)
    lit = shrunk * rng.uniform(0.85, 1.1) + rng.normal(0, noise, shrunk.shape)
    _, data = cv2.imencode(
        ".jpg", np.clip(lit, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    return cast(Image, cv2.imdecode(data, cv2.IMREAD_COLOR))


def _confidence(observation: Observation) -> float:
    return observation.reading.confidence if observation.reading else 0.0


def _outcome(label: PictureLabel, observation: Observation) -> Outcome:
    assert observation.reading is not None
    return observation.reading.confidence, _right(label, observation.reading.text)


def _voted(label: PictureLabel, seen: Sequence[Observation]) -> Outcome | None:
    gathered = vote.Evidence.of(seen[0])
    for observation in seen[1:]:
        gathered.add(vote.Evidence.of(observation))
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
