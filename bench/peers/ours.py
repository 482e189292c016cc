"""detect-api itself, asked like the others, for its time beside theirs.

What is timed is what happens to a decoded picture: finding, cutting out, reading, deciding. Its
accuracy is told by ``detect-api evaluate``, which reads files as users do.
"""

from __future__ import annotations

from bench.peers import protocol

protocol.one_core()

from detect_api.vision import pipeline  # noqa: E402
from detect_api.vision.types import Frame, Parameters  # noqa: E402


def load(region: str | None) -> protocol.Read:
    """The shipped models on one thread."""
    engine = pipeline.Engine.load(threads=1)
    parameters = Parameters(region=region)

    def read(image: protocol.Image) -> list[protocol.Seen]:
        seen = pipeline.observe(
            [Frame(0, 0.0, image)], engine, expected=1, region=region, still=True
        )
        merge = pipeline.Merge.new(parameters, single_image=True)
        plates = [*merge.advance(seen, 0.0).plates, *merge.finish().plates]
        return [
            protocol.Seen(
                plate.text,
                plate.confidence,
                (box.x1, box.y1, box.x2, box.y2),
                tuple((c.text, c.confidence) for c in plate.candidates),
            )
            for plate in plates
            for box in [plate.best.box]
        ]

    return read


if __name__ == "__main__":
    protocol.main(load)
