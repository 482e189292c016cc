"""From frames to observations, and from observations to plates.

``observe`` does the costly part for one segment and depends on its frames alone. ``Merge`` runs
over the segments' observations in order; what comes out depends on the sequence of observations
and never on where it was cut into segments.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from detect_api.vision import still, wire
from detect_api.vision.choose import (
    Selector,
    Sighting,
    chosen,
    window_of,
)
from detect_api.vision.crop import evidence, rectify, sharpness
from detect_api.vision.detect import Detector, PlateDetector
from detect_api.vision.judge import judge
from detect_api.vision.lean import detection_size
from detect_api.vision.read import PlateReader, Reader
from detect_api.vision.track import Track, Tracker
from detect_api.vision.types import (
    NO_PLATE,
    NO_TEXT,
    PASSED_OVER,
    TOO_SMALL,
    AnyFrame,
    Box,
    Detection,
    Image,
    Merged,
    ModelInfo,
    Moment,
    Observation,
    Parameters,
    Plate,
    Point,
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

    def find(self, frame: AnyFrame, *, still: bool = False) -> list[tuple[Observation, Image]]:
        """The plates in one frame, not read yet, surest first, each with its picture.

        ``still``: the frame is a picture of its own and no part of a video, so that there is time
        to look twice.
        """
        small = frame.small if still else _small(frame)
        (detections,) = self.detector.detect([small], still=still)
        fx, fy = frame.width / small.shape[1], frame.height / small.shape[0]
        return [_sighted(frame, _grown(detection, fx, fy)) for detection in detections]

    def suspect(self, frame: AnyFrame) -> list[Box]:
        """Where in one frame of a video plates may be, however doubtful."""
        small = _small(frame)
        if isinstance(self.detector, PlateDetector):
            found = self.detector.suspect(small)
        else:
            (found,) = self.detector.detect([small])
        fx, fy = frame.width / small.shape[1], frame.height / small.shape[0]
        return [_grown(detection, fx, fy).box for detection in found]

    def read(
        self, crops: Sequence[Image], *, region: str | None = None, still: bool = False
    ) -> list[Reading | None]:
        """What stands on plates; ``region`` is where they are expected to be from."""
        return self.reader.read(crops, region=region, still=still)

    def look(
        self, frame: AnyFrame, *, region: str | None = None, still: bool = False
    ) -> list[Observation]:
        """The plates in one frame, read as far as they are large enough, surest first."""
        found = self.find(frame, still=still)
        crops = [crop for observation, crop in found if observation.reason != TOO_SMALL]
        readings = iter(self.read(crops, region=region, still=still))
        seen = [o if o.reason == TOO_SMALL else _read(o, next(readings)) for o, _ in found]
        return [o for o in seen if o.reason != NO_PLATE]


def _small(frame: AnyFrame) -> Image:
    """The frame in the size in which plates are looked for, whatever it comes in."""
    size = detection_size(frame.width, frame.height)
    small = frame.small
    if small.shape[1::-1] != size:
        small = cv2.resize(small, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return small


def _grown(detection: Detection, fx: float, fy: float) -> Detection:
    """A detection in the small picture as one in the full frame."""
    box = detection.box
    a, b, c, d = ((x * fx, y * fy) for x, y in detection.corners)
    grown = Box(box.x1 * fx, box.y1 * fy, box.x2 * fx, box.y2 * fy)
    return Detection(grown, (a, b, c, d), detection.confidence)


def _sighted(frame: AnyFrame, detection: Detection) -> tuple[Observation, Image]:
    crop = _cut_out(frame, detection.corners)
    box = detection.box
    a, b, c, d = ((round(x, 2), round(y, 2)) for x, y in detection.corners)
    observation = Observation(
        frame=frame.number,
        seconds=frame.seconds,
        box=Box(round(box.x1, 2), round(box.y1, 2), round(box.x2, 2), round(box.y2, 2)),
        corners=(a, b, c, d),
        detection_confidence=round(detection.confidence, 4),
        sharpness=round(sharpness(crop), 4),
        reading=None,
        reason=PASSED_OVER if crop.shape[0] >= READABLE_HEIGHT else TOO_SMALL,
    )
    return observation, crop


def _cut_out(frame: AnyFrame, corners: tuple[Point, Point, Point, Point]) -> Image:
    """The plate as ``rectify`` gives it, made of no more of the frame than it takes."""
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    margin = 8 + 0.25 * max(max(xs) - min(xs), max(ys) - min(ys))
    left, top = _inside(min(xs) - margin, frame.width), _inside(min(ys) - margin, frame.height)
    right = 1 + _inside(max(xs) + margin, frame.width)
    bottom = 1 + _inside(max(ys) + margin, frame.height)
    a, b, c, d = ((x - left, y - top) for x, y in corners)
    return rectify(frame.part(left, top, right, bottom), (a, b, c, d))


def _inside(value: float, size: int) -> int:
    return min(max(int(value), 0), size - 1)


def _read(observation: Observation, reading: Reading | None) -> Observation:
    if reading is None:
        return replace(observation, reason=NO_TEXT)
    if not reading.text:
        return replace(observation, reason=NO_PLATE)
    return replace(observation, reading=reading, reason=None)


def observe(
    frames: Iterable[AnyFrame],
    engine: Engine,
    *,
    expected: int,
    region: str | None = None,
    still: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> SegmentResult:
    """Find the plates in each frame of one segment, in order, and read those worth it.

    See ``choose``; of a still picture (``still``) all are read. ``region`` is where plates are
    expected to be from. ``expected`` is how many frames the plan promises; those that do not come
    are counted as missing. ``on_progress(frames done, detections so far)`` is called after each
    frame; whatever it raises ends the work and is passed on.
    """
    observations: list[Observation] = []
    selector = Selector()
    done = with_detections = width = height = 0

    def read(sightings: Sequence[Sighting]) -> None:
        crops = [sighting.crop for sighting in sightings if sighting.crop is not None]
        for sighting, reading in zip(sightings, engine.read(crops, region=region), strict=True):
            observations[sighting.place] = _read(sighting.observation, reading)

    for frame in frames:
        height, width = frame.height, frame.width
        before = len(observations)
        if still:
            observations += engine.look(frame, region=region, still=True)
        else:
            found = engine.find(frame)
            observations += [observation for observation, _ in found]
            sightings = [
                Sighting(observation, place, crop)
                for place, (observation, crop) in enumerate(found, before)
                if observation.reason != TOO_SMALL
            ]
            read(selector.add(frame.seconds, sightings))
        done += 1
        with_detections += len(observations) > before
        if on_progress is not None:
            on_progress(done, len(observations))
    read(selector.finish())
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

    ``held`` are the observations of a window of time (see ``choose``) of which more may come.
    ``dump`` and ``load`` carry it exactly, so that merging resumes after a crash.
    """

    min_confidence: float | None
    single_image: bool
    tracker: Tracker
    next_track_id: int = 1
    held: list[Observation] = field(default_factory=list)

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
        end_seconds -= _ROUNDING
        windows = itertools.groupby(
            (*self.held, *result.observations), key=lambda o: window_of(o.seconds)
        )
        self.held = []
        for window, observations in windows:
            self._follow(self.held, merged)
            self.held = list(observations)
            whole = window < window_of(end_seconds)
        if self.held and whole:
            self._follow(self.held, merged)
            self.held = []
        known = min([end_seconds, *(o.seconds for o in self.held)])
        self._decide(self.tracker.retire(known), merged)
        return merged

    def _follow(self, window: Sequence[Observation], merged: Merged) -> None:
        """Take in all observations of a window, of which no more will come."""
        for _, frame in itertools.groupby(chosen(window), key=lambda o: o.frame):
            observations = list(frame)
            self._decide(self.tracker.retire(observations[0].seconds), merged)
            self.tracker.step(observations)

    def finish(self) -> Merged:
        """The remaining tracks, after the last segment."""
        merged = Merged()
        self._follow(self.held, merged)
        self.held = []
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
            sparse=self._sparse(track.evidence.last),
        )

    def _sparse(self, moment: Moment) -> bool:
        """Whether the frames looked at lie so far apart that a car may be in one of them only."""
        return self.tracker.frame_skip * moment.seconds > _SPARSE * moment.frame


_SPARSE = 0.2
"""Seconds between two frames that are looked at."""

_ROUNDING = 0.001
"""The plan's times may differ from the frames' own by rounding."""
