"""How many labelled plates a detector finds, and how many boxes it draws elsewhere.

    python -m training.detector.evaluate MODEL [--sides 640] [--sides 640,320] [--sheet MISSES.png]

MODEL is a checkpoint (.pt), an ONNX file (``--runtime onnx`` or ``openvino``) or an OpenVINO file
(.xml). One table row for each set and choice of sides (sizes of the longer side at which every
picture is looked at). ``found``: a box scored the threshold or more overlaps the labelled plate
with an IoU of 0.5 (0.3) or more. ``first``: the best-scored box is that one. ``extra``: boxes
elsewhere (IoU below 0.3) a picture; many are real plates, since a picture has one label only.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from training import paths
from training.detector import running
from training.detector.boxes import Floats, Image, Network, detect, overlap

LABELS = paths.DATA / "plates_val" / "labels.jsonl"


@dataclass(slots=True)
class Score:
    """Sums over the pictures of one set."""

    pictures: int = 0
    found: int = 0
    touched: int = 0
    first: int = 0
    extra: int = 0
    sure_extra: int = 0
    overlaps: list[float] = field(default_factory=list)

    def add(self, detections: Floats, box: Floats, threshold: float) -> bool:
        """Count one picture; whether its plate was found."""
        match = overlap(detections, box[None])[:, 0]
        kept = detections[:, 4] >= threshold
        best = float(match[kept].max(initial=0))
        self.pictures += 1
        self.found += best >= 0.5
        self.touched += best >= 0.3
        self.first += bool(kept.any() and match[0] >= 0.5)
        self.extra += int((kept & (match < 0.3)).sum())
        self.sure_extra += int(((detections[:, 4] >= 0.7) & (match < 0.3)).sum())
        self.overlaps.append(best)
        return best >= 0.5

    def row(self, name: str, sides: tuple[int, ...]) -> str:
        """One row of the table."""
        count = self.pictures
        overlaps = [value for value in self.overlaps if value >= 0.3]
        return (
            f"| {'+'.join(map(str, sides))} | {name} | {count} | {self.found / count:.3f} "
            f"| {self.touched / count:.3f} | {self.first / count:.3f} "
            f"| {np.mean(overlaps):.3f} | {self.extra / count:.2f} "
            f"| {self.sure_extra / count:.2f} |"
        )


HEADER = (
    "| sides | set | n | found .5 | found .3 | first | mean IoU | extra | extra ≥ .7 |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True, slots=True)
class Labelled:
    """One picture with the plate that is to be found."""

    set: str
    name: str
    image: Image
    box: Floats


def labelled(path: Path) -> Iterator[Labelled]:
    """The pictures of a label file; raises ``FileNotFoundError`` where one is missing."""
    for line in path.read_text().splitlines():
        row = json.loads(line)
        image = cv2.imread(str(path.parent / row["image"]))
        if image is None:
            raise FileNotFoundError(path.parent / row["image"])
        box = np.array(row["box"], np.float32)
        yield Labelled(row["set"], row["image"], np.asarray(image, np.uint8), box)


def evaluate(
    network: Network,
    sides: list[tuple[int, ...]],
    *,
    labels: Path = LABELS,
    threshold: float = 0.4,
    sheet: Path | None = None,
) -> tuple[list[str], dict[str, dict[str, Score]]]:
    """Table rows, and the scores by sides and set. ``sheet`` is a picture of what was missed."""
    scores: dict[str, dict[str, Score]] = defaultdict(lambda: defaultdict(Score))
    missed: list[Image] = []
    for picture in labelled(labels):
        for choice in sides:
            rows = detect(network, picture.image, choice)
            found = scores["+".join(map(str, choice))][picture.set].add(
                rows, picture.box, threshold
            )
            if not found and choice == sides[0] and sheet is not None:
                missed.append(drawn(picture, rows))
    if sheet is not None and missed:
        cv2.imwrite(str(sheet), tiled(missed))
    table = [
        score.row(name, choice)
        for choice in sides
        for name, score in scores["+".join(map(str, choice))].items()
    ]
    return table, scores


def drawn(picture: Labelled, detections: Floats, side: int = 400) -> Image:
    """The picture with its label (green) and its detections (orange, corners magenta)."""
    factor = side / max(picture.image.shape[:2])
    size = [round(v * factor) for v in picture.image.shape[1::-1]]
    image = cv2.resize(picture.image, size, interpolation=cv2.INTER_AREA)
    x1, y1, x2, y2 = (round(float(v) * factor) for v in picture.box)
    cv2.rectangle(image, (x1, y1), (x2, y2), (0, 255, 0), 1)
    for row in detections[detections[:, 4] >= 0.1] * factor:
        points = [(round(float(x)), round(float(y))) for x, y in row[:4].reshape(2, 2)]
        cv2.rectangle(image, points[0], points[1], (0, 140, 255), 1)
        corners = row[5:].reshape(4, 2).astype(np.int32)
        cv2.polylines(image, [corners], True, (255, 0, 255), 1)
        cv2.putText(image, f"{row[4] / factor:.2f}", points[0], 0, 0.4, (0, 140, 255), 1)
    canvas = np.zeros((side, side, 3), np.uint8)
    canvas[: image.shape[0], : image.shape[1]] = image
    cv2.putText(canvas, picture.name[-40:], (3, side - 5), 0, 0.4, (255, 255, 255), 1)
    return canvas


def tiled(pictures: list[Image], columns: int = 5) -> Image:
    """Pictures of one size as one sheet."""
    blank = np.zeros_like(pictures[0])
    padded = pictures + [blank] * (-len(pictures) % columns)
    return np.vstack(
        [np.hstack(padded[at : at + columns]) for at in range(0, len(padded), columns)]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("--sides", action="append", help="such as 640 or 640,320; repeatable")
    parser.add_argument("--runtime", choices=("onnx", "openvino"), default="openvino")
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--labels", type=Path, default=LABELS)
    parser.add_argument("--threshold", type=float, default=0.4)
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    network = running.load(options.model, runtime=options.runtime, precision=options.precision)
    sides = [tuple(int(v) for v in text.split(",")) for text in options.sides or ["640"]]
    table, _ = evaluate(
        network, sides, labels=options.labels, threshold=options.threshold, sheet=options.sheet
    )
    sys.stdout.write("\n".join((HEADER, *table)) + "\n")


if __name__ == "__main__":
    main()
