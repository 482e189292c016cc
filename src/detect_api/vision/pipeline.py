"""From frames to observations, and from observations to plates.

``observe`` does the costly part for one segment and depends on its frames alone. ``Merge`` runs
over the segments' observations in order; what comes out depends on the sequence of observations
and never on where it was cut into segments.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import cv2

from detect_api.vision import still, wire
from detect_api.vision.crop import evidence, rectify, sharpness
from detect_api.vision.detect import Detector, PlateDetector
from detect_api.vision.judge import judge
from detect_api.vision.read import PlateReader, Reader
from detect_api.vision.track import Track, Tracker
from detect_api.vision.types import (
    Box,
    Detection,
    Frame,
    Image,
    Merged,
    ModelInfo,
    Moment,
    Observation,
    Parameters,
    Plate,
    Reading,
    SegmentResult,
    UnreadTrack,
)

__all__ = ["Engine", "Merge", "evidence", "observe"]

READABLE_HEIGHT = 10.0
"""Plates less tall, in pixels, are not given to the reader: nothing comes of it but guesses."""


@dataclass(frozen=True)
class Engine:
    """The models at work: one for each process, not to be shared between threads."""

    detector: Detector
    reader: Reader

    @classmethod
    def load(cls, *, threads: int = 1, device: str = "CPU") -> Engine:
        """Load the shipped models, which takes about a second.

        ``device`` is a name of OpenVINO's, or ``onnx`` / ``onnx:cuda`` for ONNX Runtime. Also
        sets OpenCV's number of threads for this process, so that the two do not fight. Raises
        ``Unavailable`` if a model file is missing or is not the pinned one.
        """
        cv2.setNumThreads(threads)
        return cls(
            detector=PlateDetector.load(threads=threads, device=device),
            reader=PlateReader.load(threads=threads, device=device),
        )

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        return (*self.detector.models, *self.reader.models)

    def look(
        self, frame: Frame, *, region: str | None = None, still: bool = False
    ) -> list[Observation]:
        """The plates in one frame, surest first.

        ``region`` is where plates are expected to be from. ``still``: the frame is a
        picture of its own and no part of a video, so that there is time to look twice.
        """
        (detections,) = self.detector.detect([frame.image], still=still)
        crops = [rectify(frame.image, detection.corners) for detection in detections]
        readable = [crop.shape[0] >= READABLE_HEIGHT for crop in crops]
        large = [c for c, r in zip(crops, readable, strict=True) if r]
        found = iter(self.reader.read(large, region=region, still=still))
        observations = []
        for detection, crop, tall in zip(detections, crops, readable, strict=True):
            reading = next(found) if tall else None
            if reading is not None and not reading.text:
                continue  # The reader is sure that this is no plate.
            reason = None if reading else ("no_text" if tall else "too_small")
            observations.append(_observation(frame, detection, crop, reading, reason))
        return observations


def _observation(
    frame: Frame, detection: Detection, crop: Image, reading: Reading | None, reason: str | None
) -> Observation:
    box = detection.box
    a, b, c, d = ((round(x, 2), round(y, 2)) for x, y in detection.corners)
    return Observation(
        frame=frame.number,
        seconds=frame.seconds,
        box=Box(round(box.x1, 2), round(box.y1, 2), round(box.x2, 2), round(box.y2, 2)),
        corners=(a, b, c, d),
        detection_confidence=round(detection.confidence, 4),
        sharpness=round(sharpness(crop), 4),
        reading=reading,
        reason=reason,
    )


def observe(
    frames: Iterable[Frame],
    engine: Engine,
    *,
    expected: int,
    region: str | None = None,
    still: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> SegmentResult:
    """Look at each frame of one segment, in order; ``region`` and ``still`` as for ``look``.

    ``expected`` is how many frames the plan promises; those that do not come are counted as
    missing. ``on_progress(frames done, detections so far)`` is called after each frame; whatever
    it raises ends the work and is passed on.
    """
    observations: list[Observation] = []
    done = with_detections = width = height = 0
    for frame in frames:
        height, width = frame.image.shape[:2]
        seen = engine.look(frame, region=region, still=still)
        observations += seen
        done += 1
        with_detections += bool(seen)
        if on_progress is not None:
            on_progress(done, len(observations))
    return SegmentResult(
        processed_frames=done,
        frames_with_detections=with_detections,
        observations=tuple(observations),
        missing_frames=max(0, expected - done),
        width=width,
        height=height,
    )


@dataclass(slots=True)
class Merge:
    """The state between segments: tracks that may still change, in bounded space.

    ``dump`` and ``load`` carry it exactly, so that merging resumes after a crash.
    """

    min_confidence: float | None
    single_image: bool
    tracker: Tracker
    frame_height: int = 0
    next_track_id: int = 1

    @classmethod
    def new(cls, parameters: Parameters, *, single_image: bool = False) -> Merge:
        """``single_image``: the video is one still picture, rules on time do not hold."""
        return cls(
            min_confidence=parameters.min_confidence,
            single_image=single_image,
            tracker=Tracker(frame_skip=parameters.frame_skip),
        )

    def advance(self, result: SegmentResult, end_seconds: float) -> Merged:
        """Take in the next segment, which ends where the next one begins.

        Returns the tracks that can no longer change, with ids counted from 1 in the order in
        which they became final.
        """
        merged = Merged()
        self.frame_height = result.height or self.frame_height
        for _, frame in itertools.groupby(result.observations, key=lambda o: o.frame):
            observations = list(frame)
            self._decide(self.tracker.retire(observations[0].seconds), merged)
            self.tracker.step(observations)
        self._decide(self.tracker.retire(end_seconds - _ROUNDING), merged)
        return merged

    def finish(self) -> Merged:
        """The remaining tracks, after the last segment."""
        merged = Merged()
        self._decide(self.tracker.retire(), merged)
        return merged

    def dump(self) -> bytes:
        """The state as bytes; ``load`` makes an equal one of them."""
        return wire.dump(self)

    @classmethod
    def load(cls, data: bytes) -> Merge:
        """Raises ValueError for bytes that ``dump`` did not make."""
        return wire.load(cls, data)

    def _decide(self, tracks: Iterable[Track], merged: Merged) -> None:
        for track in tracks:
            decided = self._judged(track)
            if isinstance(decided, Plate):
                merged.plates.append(decided)
            elif isinstance(decided, UnreadTrack):
                merged.unread.append(decided)
            self.next_track_id += decided is not None

    def _judged(self, track: Track) -> Plate | UnreadTrack | None:
        if self.single_image:
            seen = track.evidence.best
            return still.judge(seen, self.next_track_id, min_confidence=self.min_confidence)
        return judge(
            track.evidence,
            self.next_track_id,
            min_confidence=self.min_confidence,
            frame_height=self.frame_height,
            sparse=self._sparse(track.evidence.last),
        )

    def _sparse(self, moment: Moment) -> bool:
        """Whether the frames looked at lie so far apart that a car may be in one of them only."""
        return self.tracker.frame_skip * moment.seconds > _SPARSE * moment.frame


_SPARSE = 0.2
"""Seconds between two frames that are looked at."""

_ROUNDING = 0.001
"""The plan's times may differ from the frames' own by rounding."""
