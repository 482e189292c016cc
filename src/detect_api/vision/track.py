"""Following each plate through the frames.

Association after ByteTrack (Zhang et al. 2022, arXiv:2110.06864): sure detections are matched
first, doubtful ones only continue tracks. Motion is a constant-velocity Kalman filter in seconds,
so that skipped frames and variable frame rates need no care. What a plate says decides where
motion cannot: texts that contradict are not joined, and tracks that broke are joined again by
their text.

Everything here depends on the sequence of observations alone: ``retire`` may be called at any
moment between frames without changing what comes out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from detect_api.vision.alike import edit_distance
from detect_api.vision.evidence import LENGTHS, Evidence, quality_of
from detect_api.vision.types import Box, Observation

SURE_DETECTION = 0.6
"""Detections from here on are matched first."""

NEW_TRACK = 0.5
"""Detections below only continue a track."""

MOTION_GAP = 1.5
"""For so many seconds a plate that is out of sight is expected where its motion takes it."""

REJOIN_GAP = 3.0
"""For so many seconds the same text is the same pass of the same vehicle."""

STILL_GAP = 30.0
"""The same, for a plate that stood still when it was lost: something stands in front of it."""

SETTLE = 3.0
"""For so many seconds a new track's text may still show that it continues an older track."""

_FORBIDDEN = 1e6


@dataclass(slots=True)
class Axis:
    """A constant-velocity Kalman filter along one axis: pixels, pixels per second.

    ``pp``, ``pv``, ``vv`` are the covariance of position and velocity. The process noise is that
    of white acceleration (Bar-Shalom, Estimation with Applications to Tracking, section 6.2.2).
    """

    position: float
    velocity: float
    pp: float
    pv: float
    vv: float

    def predicted(self, dt: float, acceleration: float) -> Axis:
        """The same axis ``dt`` seconds later."""
        q = acceleration**2
        return Axis(
            position=self.position + self.velocity * dt,
            velocity=self.velocity,
            pp=self.pp + dt * (2 * self.pv + dt * self.vv) + q * dt**3 / 3,
            pv=self.pv + dt * self.vv + q * dt**2 / 2,
            vv=self.vv + q * dt,
        )

    def corrected(self, measured: float, variance: float) -> Axis:
        """The same axis after a measurement of its position."""
        gain_p, gain_v = self.pp / (self.pp + variance), self.pv / (self.pp + variance)
        error = measured - self.position
        return Axis(
            position=self.position + gain_p * error,
            velocity=self.velocity + gain_v * error,
            pp=(1 - gain_p) * self.pp,
            pv=(1 - gain_p) * self.pv,
            vv=self.vv - gain_v * self.pv,
        )


# Noise in units of the plate's size (root of its area): how well a box is measured, how fast a
# plate of unknown speed may move per second, how much its speed changes.
_MEASURED, _SPEED, _ACCELERATION = 0.08, 8.0, 4.0


def size_of(box: Box) -> float:
    """The root of a box's area, in pixels."""
    return math.sqrt(max(box.width, 1.0) * max(box.height, 1.0))


@dataclass(slots=True)
class Track:
    """One plate: where it is going, and what it has shown.

    ``born`` is the moment (seconds) from which its motion is known; unlike the evidence's first
    moment it does not change when another track is taken in, so that ``deadline`` does not either.
    """

    id: int
    born: float
    x: Axis
    y: Axis
    width: float
    height: float
    frame: int
    seconds: float
    evidence: Evidence

    @classmethod
    def start(cls, track_id: int, observation: Observation) -> Track:
        """A track with a single observation."""
        box = observation.box
        size = size_of(box)
        x, y = box.center
        place, speed = (_MEASURED * size) ** 2, (_SPEED * size) ** 2
        return cls(
            id=track_id,
            born=observation.seconds,
            x=Axis(x, 0.0, place, 0.0, speed),
            y=Axis(y, 0.0, place, 0.0, speed),
            width=box.width,
            height=box.height,
            frame=observation.frame,
            seconds=observation.seconds,
            evidence=Evidence.of(observation),
        )

    @property
    def size(self) -> float:
        return math.sqrt(max(self.width, 1.0) * max(self.height, 1.0))

    @property
    def standing(self) -> bool:
        """Whether the plate has been seen for a second and hardly moves."""
        age = self.seconds - self.born
        return age >= 1 and math.hypot(self.x.velocity, self.y.velocity) < 0.3 * self.size

    @property
    def rejoin_gap(self) -> float:
        return STILL_GAP if self.standing else REJOIN_GAP

    @property
    def deadline(self) -> float:
        """After this moment (seconds) nothing can be added to the track any more."""
        return self.seconds + self.rejoin_gap + SETTLE

    def axes_at(self, seconds: float) -> tuple[Axis, Axis]:
        """Where the track is expected."""
        dt = max(0.0, seconds - self.seconds)
        acceleration = _ACCELERATION * self.size
        return self.x.predicted(dt, acceleration), self.y.predicted(dt, acceleration)

    def add(self, observation: Observation) -> None:
        """Continue the track."""
        box = observation.box
        x, y = self.axes_at(observation.seconds)
        variance = (_MEASURED * size_of(box)) ** 2
        self.x, self.y = x.corrected(box.center[0], variance), y.corrected(box.center[1], variance)
        self.width += 0.6 * (box.width - self.width)
        self.height += 0.6 * (box.height - self.height)
        self.frame, self.seconds = observation.frame, observation.seconds
        self.evidence.add(Evidence.of(observation))

    def absorb(self, other: Track) -> None:
        """Take in another part of the same vehicle's pass; this one's motion goes on."""
        self.id = min(self.id, other.id)
        self.evidence.add(other.evidence)


@dataclass(slots=True)
class Tracker:
    """All tracks that may still change. ``frame_skip`` is the step between frames looked at."""

    frame_skip: int
    next_id: int = 1
    tracks: list[Track] = field(default_factory=list)

    def step(self, observations: Sequence[Observation]) -> None:
        """Take in all observations of one frame. Frames come in order of time."""
        seconds = observations[0].seconds
        sure = [o for o in observations if o.detection_confidence >= SURE_DETECTION]
        doubtful = [o for o in observations if o.detection_confidence < SURE_DETECTION]
        free = [t for t in self.tracks if seconds - t.seconds <= max(MOTION_GAP, t.rejoin_gap)]
        for group in (sure, doubtful):
            matched = self._match(free, group)
            for track, observation in matched:
                track.add(observation)
            taken = {id(track) for track, _ in matched}
            used = {id(observation) for _, observation in matched}
            free = [track for track in free if id(track) not in taken]
            for observation in group:
                if id(observation) not in used and observation.detection_confidence >= NEW_TRACK:
                    self.tracks.append(Track.start(self.next_id, observation))
                    self.next_id += 1
        self._rejoin(seconds)

    def retire(self, before: float = math.inf) -> list[Track]:
        """Take out the tracks that no observation from the moment ``before`` on can change.

        They come in an order that does not depend on when this is called.
        """
        finished = []
        while due := [track for track in self.tracks if track.deadline < before]:
            # One by one: taking a track in changes the id that decides between equal deadlines.
            track = min(due, key=_retirement)
            self.tracks.remove(track)
            home = next((other for other in self.tracks if belongs(track, other)), None)
            if home is None:
                finished.append(track)
            else:
                home.absorb(track)
        return finished

    def _match(
        self, tracks: Sequence[Track], observations: Sequence[Observation]
    ) -> list[tuple[Track, Observation]]:
        if not tracks or not observations:
            return []
        costs = np.array([[self._cost(t, o) for o in observations] for t in tracks])
        rows, columns = linear_sum_assignment(costs)
        return [
            (tracks[row], observations[column])
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
            if costs[row, column] < _FORBIDDEN
        ]

    def _cost(self, track: Track, observation: Observation) -> float:
        """How badly an observation continues a track, 0 … 1; ``_FORBIDDEN`` if it cannot."""
        gap = observation.seconds - track.seconds
        x, y = track.axes_at(observation.seconds)
        box = observation.box
        noise = (_MEASURED * track.size) ** 2
        (bx, by) = box.center
        off = math.hypot(
            (bx - x.position) / math.sqrt(x.pp + noise), (by - y.position) / math.sqrt(y.pp + noise)
        )
        half_w, half_h = track.width / 2, track.height / 2
        expected = Box(
            x.position - half_w, y.position - half_h, x.position + half_w, y.position + half_h
        )
        overlap = iou(expected, box)
        if gap > MOTION_GAP and overlap < 0.5:
            return _FORBIDDEN
        grown = 2.2 + 2 * min(gap, 1.0)
        if not 1 / grown < box.height / track.height < grown:
            return _FORBIDDEN
        if (off > 4 and overlap < 0.3) or self._contradicts(track, observation, gap):
            return _FORBIDDEN
        return 0.5 * (1 - overlap) + 0.3 * min(off / 4, 1) + 0.2 * _unlike(track, observation)

    def _contradicts(self, track: Track, observation: Observation, gap: float) -> bool:
        """Whether the texts say that this is another plate, wherever it is.

        Out of sight for a moment, one character is enough if both pictures are good: another car
        may have come. From one frame to the next the texts must differ in much, and neither be a
        part of the other.
        """
        reading, leading = observation.reading, track.evidence.leading
        if reading is None or not clear(observation) or not settled(track):
            return False
        distance = edit_distance(reading.text, leading)
        away = observation.frame - track.frame > self.frame_skip and gap > 0.25
        if away or gap > 1:
            seen = min(track.evidence.spellings[leading].best_quality, quality_of(observation))
            return distance > 2 or (distance > 0 and seen >= PLAIN)
        if reading.text in leading or leading in reading.text:
            return False
        return distance >= max(3, math.ceil(0.4 * max(len(reading.text), len(leading))))

    def _rejoin(self, seconds: float) -> None:
        """Put lost tracks into the ones that continue them, told by the same text."""
        current = [t for t in self.tracks if t.seconds == seconds and settled(t)]
        for track in current:
            text = track.evidence.leading
            for lost in [t for t in self.tracks if seconds - t.seconds > 0.5]:
                away = track.evidence.first.seconds - lost.seconds
                if away <= lost.rejoin_gap and settled(lost) and lost.evidence.leading == text:
                    self.tracks.remove(lost)
                    track.absorb(lost)


def _retirement(track: Track) -> tuple[float, int]:
    return track.deadline, track.id


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(a.x2, b.x2) - max(a.x1, b.x1)
    height = min(a.y2, b.y2) - max(a.y1, b.y1)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (a.width * a.height + b.width * b.height - shared)


def _unlike(track: Track, observation: Observation) -> float:
    """How unlike the texts are, 0 … 1; one half where there is nothing to compare."""
    leading = track.evidence.leading
    if observation.reading is None or not leading:
        return 0.5
    text = observation.reading.text
    return edit_distance(text, leading) / max(len(text), len(leading))


CLEAR = 0.95
PLAIN = 0.3
"""From this quality on (``quality_of``) a picture can tell one character from another."""


def clear(observation: Observation) -> bool:
    """Whether one reading is a plate's text without a doubtful character."""
    reading = observation.reading
    return (
        reading is not None
        and len(reading.text) in LENGTHS
        and reading.confidence >= CLEAR
        and all(scores.best[1] >= 0.8 for scores in reading.characters)
    )


def settled(track: Track) -> bool:
    """Whether a track's text is clear: read surely, and by at least half of the weight."""
    evidence = track.evidence
    text = evidence.leading
    if len(text) not in LENGTHS:
        return False
    spelling = evidence.spellings[text]
    sure = spelling.confidence >= CLEAR or spelling.count >= 3
    return sure and spelling.weight >= 0.5 * evidence.weights


def belongs(track: Track, other: Track) -> bool:
    """Whether a track that ends is a part of another one: the same pass of the same vehicle.

    Either both say the same; or what one of them says is a part, or a doubtful reading, of what
    the other says, at a place that it can have come to.
    """
    early, late = sorted((track, other), key=lambda t: (t.evidence.first.seconds, t.id))
    gap = late.evidence.first.seconds - early.evidence.last.seconds
    if gap > early.rejoin_gap:
        return False
    a, b = track.evidence.leading, other.evidence.leading
    if not a or not b:
        return False
    if a == b:
        return len(a) in LENGTHS
    if gap > REJOIN_GAP or not _reachable(early, late, gap):
        return False
    short, long = sorted((a, b), key=len)
    if len(short) >= 3 and short in long:
        return True
    if edit_distance(a, b) > (1 if len(long) < 7 else 2):
        return False
    if gap < 0:
        return _slip(track, other) or _slip(other, track)
    return not settled(track) or not settled(other)


def _slip(track: Track, other: Track) -> bool:
    """Whether a track is one or two misread frames of another that went on before and after."""
    mine, theirs = track.evidence, other.evidence
    return (
        mine.readings <= 2
        and theirs.readings >= 3 * mine.readings
        and theirs.first.seconds < mine.first.seconds
        and mine.last.seconds < theirs.last.seconds
    )


def _reachable(early: Track, late: Track, gap: float) -> bool:
    """Whether a plate can have come from where one track ended to where the other began.

    Where both were seen at the same time, the way of the earlier one counts as a whole.
    """
    size = max(early.size, late.size)
    x, y = late.evidence.first_box.center
    ends = [early.evidence.last_box.center]
    if gap < 0:
        ends.append(early.evidence.first_box.center)
    left, right = min(e[0] for e in ends), max(e[0] for e in ends)
    top, bottom = min(e[1] for e in ends), max(e[1] for e in ends)
    off = math.hypot(max(left - x, x - right, 0.0), max(top - y, y - bottom, 0.0))
    return off <= size * (2 + 8 * max(gap, 0.0))
