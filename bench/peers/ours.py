"""detect-api itself, asked like the others, for its time beside theirs.

What is timed is what happens to a decoded picture: finding, cutting out, reading, deciding. Its
accuracy is told by ``detect-api evaluate``, which does the same.
"""

from __future__ import annotations

from bench.peers import protocol

protocol.one_core()

from detect_api.evaluation import run  # noqa: E402
from detect_api.vision.pipeline import Engine  # noqa: E402
from detect_api.vision.types import Plate  # noqa: E402


def load(region: str | None) -> protocol.Read:
    """The shipped models on one thread."""
    engine = Engine.load(threads=1)

    def read(image: protocol.Image) -> list[protocol.Seen]:
        tracks = run.read(image, engine, region)
        return [_seen(track) for track in tracks if isinstance(track, Plate)]

    return read


def _seen(plate: Plate) -> protocol.Seen:
    box = plate.best.box
    return protocol.Seen(
        text=plate.text,
        confidence=plate.confidence,
        box=(box.x1, box.y1, box.x2, box.y2),
        candidates=tuple((c.text, c.confidence) for c in plate.candidates),
    )


if __name__ == "__main__":
    protocol.main(load)
