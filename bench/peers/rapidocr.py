"""RapidOCR end to end: PP-OCRv6's text detector and recogniser over the whole picture.

A text spotter: every line of text in the picture is an answer, plate or not. It cannot be told of a
region.
"""

from __future__ import annotations

from typing import Any

from bench.peers import protocol

protocol.one_core()

from rapidocr import RapidOCR  # noqa: E402


def load(region: str | None) -> protocol.Read:
    """A reader with the package's own settings, on one thread."""
    if region is not None:
        raise LookupError("RapidOCR cannot be told of a region")
    engine: Any = RapidOCR(
        params={
            "Global.log_level": "error",
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )

    def read(image: protocol.Image) -> list[protocol.Seen]:
        found = engine(image)
        if found.boxes is None:
            return []
        return [
            protocol.Seen(text, float(score), (*corners.min(axis=0), *corners.max(axis=0)))
            for text, score, corners in zip(
                found.txts, found.scores, found.boxes.astype(float), strict=True
            )
        ]

    return read


if __name__ == "__main__":
    protocol.main(load)
