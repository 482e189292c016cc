"""Runs the engine over labelled pictures and clips.

How files become frames is the caller's: ``ReadPicture`` and ``ReadVideo`` are what the commands
``read`` and ``process`` do, so that what is measured is what users get.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from detect_api.evaluation.labels import PictureLabel, VideoLabel
from detect_api.evaluation.score import Answer, ClipScore, answer, clip
from detect_api.vision.types import Plate, UnreadTrack

ReadPicture = Callable[[Path, str | None], Sequence[Plate | UnreadTrack]]
"""Reads a picture file; the second argument is the region that is given, or None."""

ReadVideo = Callable[[Path], dict[str, Any]]
"""Reads a video file; gives the result of ``detect-api process --json``."""


def over_pictures(
    labels: Sequence[PictureLabel], read: ReadPicture, *, with_region: bool = False
) -> Iterator[Answer]:
    """The answer for each label, in order; with ``with_region`` for those that have a region.

    Raises what ``read`` raises: a picture that cannot be read is a broken evaluation.
    """
    for label in labels:
        if with_region and label.region is None:
            continue
        started = time.perf_counter()
        tracks = read(label.image, label.region if with_region else None)
        yield answer(label, tracks, time.perf_counter() - started)


def over_videos(labels: Sequence[VideoLabel], read: ReadVideo) -> Iterator[ClipScore]:
    """The score of each clip, in order. Raises what ``read`` raises."""
    for label in labels:
        result = read(label.video)
        yield clip(
            label.video.name,
            label.plates,
            [plate["text"] for plate in result["plates"]],
            unread=len(result["unread"]),
            seconds=result["statistics"]["processing_time_seconds"],
        )
