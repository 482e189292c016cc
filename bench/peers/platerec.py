"""platerec with platedet: an open detector and reader whose wheels carry their weights.

It names the kind of plate first, such as ``[br]``, which is no part of the text. It cannot be told
of a region.
"""

from __future__ import annotations

import re

import cv2

from bench.peers import protocol

protocol.one_core()

import onnxruntime  # noqa: E402
import platerec  # noqa: E402
from PIL import Image  # noqa: E402

_KIND = re.compile(r"^\[\w+\]")


def load(region: str | None) -> protocol.Read:
    """A reader with the package's own settings, on one thread."""
    if region is not None:
        raise LookupError("platerec cannot be told of a region")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    engine = platerec.Platerec(sess_options=options)

    def read(image: protocol.Image) -> list[protocol.Seen]:
        found = engine.detect_read(Image.fromarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)))
        return [
            protocol.Seen(_KIND.sub("", text), float(confidence), (x1, y1, x2, y2))
            for text, confidence, (x1, y1, x2, y2) in zip(
                found["words"], found["words_confidences"], _floats(found["boxes"]), strict=True
            )
        ]

    return read


def _floats(boxes: list[list[float]]) -> list[list[float]]:
    return [[float(value) for value in box] for box in boxes]


if __name__ == "__main__":
    protocol.main(load)
