"""Tighten the labels of the training scenes with the corners that a detector predicts.

    python -m training.detector.relabel MODEL OUTPUT.jsonl

Labels drawn by people are loose and have no corners. Corners learnt from pasted synthetic plates,
which are exact, fit better. Each scene is looked at in three ways (two sizes, one mirrored); where
these agree on a labelled plate, their mean corners become its corners and the rectangle around
them its box. An interrupted run goes on where it was. Every output line is an input line with

- ``boxes``     tightened where possible,
- ``corners``   8 numbers a box, or null where the views disagree,
- ``missing``   boxes of surely seen plates that have no label, taken as plates in training,
- ``doubtful``  boxes to be ignored: perhaps plates, without a label,
- ``hard``      confident boxes where labels are nearly complete: things to be told from plates.

The limits were set by eye on contact sheets of the pilot's boxes: of those scored 0.25 .. 0.6
about one in eight was a plate, of those above 0.75 that the views agree on about six in seven.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from training import paths
from training.detector import running
from training.detector.boxes import Floats, Image, Network, detect, enclosing, overlap
from training.detector.scenes import COMPLETE

log = logging.getLogger(__name__)

LABELS = paths.DATA / "plates_train" / "labels.jsonl"
EXACT_BOXES = frozenset({"openimages_google_lp", "openimages_f8vsn"})
"""Sources with tight boxes: there the new box is the mean of both."""
SURE = 0.85
VIEWS = ((640, False), (640, True), (960, False))


def views(network: Network, image: Image) -> list[Floats]:
    """Detections of each view, in pixels of the picture."""
    found = []
    for side, mirrored in VIEWS:
        seen = np.ascontiguousarray(image[:, ::-1]) if mirrored else image
        rows = detect(network, seen, (side,), 0.2)
        found.append(_mirror(rows, image.shape[1]) if mirrored else rows)
    return found


def _mirror(rows: Floats, width: int) -> Floats:
    result = rows.copy()
    result[:, [0, 2]] = width - rows[:, [2, 0]]
    corners = rows[:, 5:].reshape(-1, 4, 2)[:, [1, 0, 3, 2]].copy()
    corners[..., 0] = width - corners[..., 0]
    result[:, 5:] = corners.reshape(-1, 8)
    return result


def agreed(found: list[Floats], box: Floats) -> tuple[Floats | None, float]:
    """Mean corners (8,) of the plate at ``box``, null where views disagree; and its best score."""
    seen: list[Floats] = []
    for rows in found:
        match = overlap(rows, box[None])[:, 0]
        if len(match) and match.max() >= 0.4:
            seen.append(rows[int(match.argmax())])
    sure = [row for row in seen if row[4] >= 0.4]
    best = max((float(row[4]) for row in seen), default=0.0)
    if len(sure) < 2:
        return None, best
    corners = np.stack([row[5:] for row in sure])
    mean = np.average(corners, 0, weights=[row[4] for row in sure]).astype(np.float32)
    points = mean.reshape(4, 2)
    edges = np.linalg.norm(np.roll(points, -1, 0) - points, axis=1)
    height = max(2.0, float(min(edges[1], edges[3])))
    spread = float(np.abs(corners - mean).max())
    if spread > 0.25 * height or overlap(enclosing(mean[None]), box[None])[0, 0] < 0.4:
        return None, best
    return mean, best


def relabel(row: dict[str, Any], image: Image, network: Network, counts: Counter[str]) -> None:
    """Add to one label line what the detector sees in its picture."""
    source = row["image"].split("/")[0]
    found = views(network, image)
    boxes = np.array(row["boxes"], np.float32).reshape(-1, 4)
    corners: list[list[float] | None] = []
    for index, box in enumerate(boxes.copy()):
        mean, _ = agreed(found, box)
        counts[f"{source} labelled"] += 1
        if mean is None:
            corners.append(None)
            continue
        counts[f"{source} tightened"] += 1
        tight = enclosing(mean[None])[0]
        boxes[index] = (tight + box) / 2 if source in EXACT_BOXES else tight
        corners.append([round(float(v), 2) for v in mean])
    missing: list[list[float]] = []
    doubtful: list[list[float]] = []
    hard: list[list[float]] = []
    others = np.concatenate(found)
    others = others[np.argsort(-others[:, 4], kind="stable")]
    for candidate in others:
        known = np.concatenate(
            [boxes, *(np.array(v, np.float32).reshape(-1, 4) for v in (missing, doubtful, hard))]
        )
        if overlap(candidate[None], known).max(initial=0) >= 0.1:
            continue
        mean, best = agreed(found, candidate[:4])
        rounded = [round(float(v), 2) for v in candidate[:4]]
        sure = mean is not None and best >= SURE
        if source in COMPLETE:
            if sure:
                doubtful.append(rounded)
            elif candidate[4] >= 0.4:
                hard.append(rounded)
        elif sure and mean is not None:
            missing.append([round(float(v), 2) for v in enclosing(mean[None])[0]])
        elif candidate[4] >= 0.6:
            doubtful.append(rounded)
    counts.update({f"{source} missing": len(missing), f"{source} doubtful": len(doubtful)})
    counts[f"{source} hard"] += len(hard)
    row["boxes"] = [[round(float(v), 2) for v in box] for box in boxes]
    row |= {"corners": corners, "missing": missing, "doubtful": doubtful, "hard": hard}


def _complete_lines(part: Path) -> int:
    """How many lines an interrupted run left; half a line at the end is cut off."""
    if not part.exists():
        return 0
    content = part.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    part.write_bytes(whole)
    return whole.count(b"\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--labels", type=Path, default=LABELS)
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    cv2.setNumThreads(1)
    network = running.load(options.model, precision=options.precision)
    counts: Counter[str] = Counter()
    lines = options.labels.read_text().splitlines()
    part = options.output.with_suffix(".part")
    done = _complete_lines(part)
    with part.open("a") as output:
        for line in lines[done:]:
            row = json.loads(line)
            image = cv2.imread(str(options.labels.parent / row["image"]))
            if image is None:
                raise FileNotFoundError(row["image"])
            relabel(row, np.asarray(image, np.uint8), network, counts)
            output.write(json.dumps(row) + "\n")
    part.replace(options.output)
    for name, count in sorted(counts.items()):
        log.info("%s: %d", name, count)


if __name__ == "__main__":
    main()
