"""How long each stage takes: a detector and a reader that look at the clock.

It is the processor's time, all threads added up, so that other work on the machine counts little.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from detect_api.vision.detect import Detector
from detect_api.vision.pipeline import Engine
from detect_api.vision.read import Reader
from detect_api.vision.types import AnyFrame, Detection, Image, ModelInfo, Observation, Reading


@dataclass(slots=True)
class Times:
    """Seconds of processor time spent so far, and how many pictures and crops they were for."""

    detector: float = 0.0
    reader: float = 0.0
    look: float = 0.0
    pictures: int = 0
    crops: int = 0

    def milliseconds(self) -> dict[str, float]:
        """By stage, a picture; ``crop`` is cutting out, ``reader_per_crop`` is a crop's share."""
        pictures, crops = max(1, self.pictures), max(1, self.crops)
        return {
            "detector": 1e3 * self.detector / pictures,
            "crop": 1e3 * (self.look - self.detector - self.reader) / pictures,
            "reader": 1e3 * self.reader / pictures,
            "reader_per_crop": 1e3 * self.reader / crops,
            "whole": 1e3 * self.look / pictures,
        }


class TimedDetector:
    """A detector with its time taken."""

    def __init__(self, detector: Detector, times: Times) -> None:
        self._detector = detector
        self._times = times

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        return self._detector.models

    def detect(self, images: Sequence[Image], *, still: bool = False) -> list[list[Detection]]:
        started = time.process_time()
        found = self._detector.detect(images, still=still)
        self._times.detector += time.process_time() - started
        self._times.pictures += len(images)
        return found


class TimedReader:
    """A reader with its time taken."""

    def __init__(self, reader: Reader, times: Times) -> None:
        self._reader = reader
        self._times = times

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        return self._reader.models

    def read(
        self, crops: Sequence[Image], *, region: str | None = None, still: bool = False
    ) -> list[Reading | None]:
        started = time.process_time()
        readings = self._reader.read(crops, region=region, still=still)
        self._times.reader += time.process_time() - started
        self._times.crops += len(crops)
        return readings


@dataclass(frozen=True)
class TimedEngine(Engine):
    """An engine that keeps ``times``."""

    times: Times = field(default_factory=Times)

    @classmethod
    def of(cls, engine: Engine) -> TimedEngine:
        """The same models with the clock on."""
        times = Times()
        return cls(TimedDetector(engine.detector, times), TimedReader(engine.reader, times), times)

    def look(
        self, frame: AnyFrame, *, region: str | None = None, still: bool = False
    ) -> list[Observation]:
        started = time.process_time()
        seen = super().look(frame, region=region, still=still)
        self.times.look += time.process_time() - started
        return seen
