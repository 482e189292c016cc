"""Runs the engine over labelled pictures and clips.

Pictures go the way of ``detect-api read``, except that they are decoded here and not in a child:
the files are one's own, and starting a process for each takes longer than reading it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import cv2

from detect_api.evaluation.labels import LabelError, PictureLabel, VideoLabel
from detect_api.evaluation.score import Answer, ClipScore, answer, clip
from detect_api.vision.pipeline import Engine, Merge, observe
from detect_api.vision.types import Frame, Image, Parameters, Plate, UnreadTrack

ReadVideo = Callable[[Path], dict[str, Any]]
"""Reads a video file; gives the result of ``detect-api process --json``."""


def over_pictures(
    labels: Sequence[PictureLabel], engine: Engine, *, with_region: bool = False
) -> Iterator[Answer]:
    """The answer for each label, in order; with ``with_region`` for those that have a region.

    Raises LabelError for a picture that cannot be decoded.
    """
    for label in labels:
        if with_region and label.region is None:
            continue
        image = load(label.image)
        started = time.perf_counter()
        tracks = read(image, engine, label.region if with_region else None)
        yield answer(label, tracks, time.perf_counter() - started)


def load(path: Path) -> Image:
    """A picture file, upright. Raises LabelError."""
    image = cv2.imread(str(path))
    if image is None:
        raise LabelError(f"The picture {path} cannot be read: mend or leave out its label.")
    return cast(Image, image)


def read(image: Image, engine: Engine, region: str | None) -> list[Plate | UnreadTrack]:
    """The plates in a still picture, and those seen but not read."""
    frame = Frame(0, 0.0, image)
    result = observe([frame], engine, expected=1, region=region, still=True)
    merge = Merge.new(Parameters(region=region), single_image=True)
    tracks: list[Plate | UnreadTrack] = []
    for merged in (merge.advance(result, 0.0), merge.finish()):
        tracks += [*merged.plates, *merged.unread]
    return tracks


def over_videos(labels: Sequence[VideoLabel], read_video: ReadVideo) -> Iterator[ClipScore]:
    """The score of each clip, in order. Raises what ``read_video`` raises."""
    for label in labels:
        result = read_video(label.video)
        yield clip(
            label.video.name,
            label.plates,
            [plate["text"] for plate in result["plates"]],
            unread=len(result["unread"]),
            seconds=result["statistics"]["processing_time_seconds"],
        )
