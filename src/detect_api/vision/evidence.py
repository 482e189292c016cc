"""What one track has shown, gathered in a bounded space whatever the number of its frames."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from detect_api.vision.ctc import ALPHABET
from detect_api.vision.path import join, path_of
from detect_api.vision.types import (
    NO_PLATE,
    Box,
    CharacterScores,
    Moment,
    Observation,
    Path,
    Reading,
)

LENGTHS = range(2, 11)
"""How many characters a plate has; a single one is a part of a plate more often than one."""

MOST_SPELLINGS = 24
"""Distinct texts that one track keeps; beyond, the one with the least weight goes."""

DOUBT_SHARP, DOUBT_POOR = 0.001, 0.01
"""How often a reading is taken to be wrong at a place whatever it says: in the best and the
worst picture. It keeps a single reading from ruling out what all others say."""


def height_of(observation: Observation) -> float:
    """The plate's height in pixels, along its left and right edge."""
    a, b, c, d = observation.corners
    return (math.dist(a, d) + math.dist(b, c)) / 2


def quality_of(observation: Observation) -> float:
    """How well the plate can be seen, 0 … 1: size, sharpness, view angle, sureness of detection.

    Each factor saturates, so that the value means the same in each frame and never depends on
    other frames.
    """
    (ax, ay), (bx, by), _, _ = observation.corners
    level = abs(bx - ax) / max(math.hypot(bx - ax, by - ay), 1e-6)
    height = height_of(observation)
    size = height / (height + 12)
    sharp = observation.sharpness / (observation.sharpness + 0.1)
    return size * sharp * level * math.sqrt(max(0.0, observation.detection_confidence))


@dataclass(slots=True)
class Spelling:
    """All readings of one track that gave the same text.

    ``floors`` holds for each place the sum over readings of weight * log(floor), where the floor is
    the probability of a character that was not considered; ``sums`` that of weight * log(p / floor)
    for those that were.
    """

    count: int
    weight: float
    confidence: float
    floors: list[float]
    sums: list[dict[str, float]]
    first: Moment
    last: Moment
    first_box: Box
    last_box: Box
    best: Observation
    best_quality: float

    def add(self, other: Spelling) -> None:
        """Take in further readings of the same text."""
        self.count += other.count
        self.weight += other.weight
        self.confidence = max(self.confidence, other.confidence)
        self.floors = [a + b for a, b in zip(self.floors, other.floors, strict=True)]
        for mine, theirs in zip(self.sums, other.sums, strict=True):
            for character, value in theirs.items():
                mine[character] = mine.get(character, 0.0) + value
        if _order(other.first) < _order(self.first):
            self.first, self.first_box = other.first, other.first_box
        if _order(other.last) > _order(self.last):
            self.last, self.last_box = other.last, other.last_box
        if other.best_quality > self.best_quality:
            self.best, self.best_quality = other.best, other.best_quality


def _order(moment: Moment) -> tuple[float, int]:
    return moment.seconds, moment.frame


def _spelling(observation: Observation, quality: float) -> Spelling:
    reading = observation.reading
    assert reading is not None
    weight = max(quality, 0.01) * reading.confidence**2
    doubt = DOUBT_SHARP + (DOUBT_POOR - DOUBT_SHARP) * (1 - quality) ** 2
    characters = tempered(reading)
    floors = [_floor(scores, doubt) for scores in characters]
    moment = Moment(observation.frame, observation.seconds)
    return Spelling(
        count=1,
        weight=weight,
        confidence=reading.confidence,
        floors=[weight * math.log(floor) for floor in floors],
        sums=[
            {c: weight * math.log(max(1.0, _chance(p, doubt) / floor)) for c, p in scores.scores}
            for scores, floor in zip(characters, floors, strict=True)
        ],
        first=moment,
        last=moment,
        first_box=observation.box,
        last_box=observation.box,
        best=observation,
        best_quality=quality * reading.confidence,
    )


def tempered(reading: Reading) -> list[CharacterScores]:
    """The reading's characters, as sure all together as the reading is.

    What the reader says of single characters ranks them well and is too sure; its confidence in
    the whole text was fitted to how often that is right. So the probabilities of the text's own
    characters are raised to the power with which their product is that confidence, and the others
    share what is left as before.
    """
    own = [
        min(max(dict(scores.scores).get(character, 0.0), _LEAST), _MOST)
        for character, scores in zip(reading.text, reading.characters, strict=True)
    ]
    sure = min(max(reading.confidence, _LEAST), _MOST)
    power = math.log(sure) / math.fsum(math.log(p) for p in own)
    result = []
    for character, scores, p in zip(reading.text, reading.characters, own, strict=True):
        others = (1 - p**power) / (1 - p)
        fitted = [(c, q * others) for c, q in scores.scores if c != character]
        ranked = sorted([(character, p**power), *fitted], key=lambda item: (-item[1], item[0]))
        result.append(CharacterScores(tuple(ranked)))
    return result


_LEAST, _MOST = 1e-6, 1 - 1e-6


def _chance(probability: float, doubt: float) -> float:
    return (1 - doubt) * probability + doubt / len(ALPHABET)


def _floor(scores: CharacterScores, doubt: float) -> float:
    """What is left for each character that is not listed."""
    rest = max(0.0, 1 - math.fsum(p for _, p in scores.scores))
    return _chance(rest / max(1, len(ALPHABET) - len(scores.scores)), doubt)


@dataclass(slots=True)
class Evidence:
    """What one track has shown so far, in bounded space.

    ``weights`` and ``squares`` add up the readings' weights and their squares, ``lost`` the
    weights of spellings that had to go. ``refusals`` counts the pictures that surely show no plate.
    ``tallest`` is the largest plate height in pixels, ``surest`` the highest confidence with which
    the plate was found.
    """

    observations: int
    readings: int
    refusals: int
    first: Moment
    last: Moment
    first_box: Box
    last_box: Box
    path: Path
    best: Observation
    best_quality: float
    tallest: float
    sharpest: float
    surest: float
    weights: float = 0.0
    squares: float = 0.0
    lost: float = 0.0
    spellings: dict[str, Spelling] = field(default_factory=dict)

    @classmethod
    def of(cls, observation: Observation) -> Evidence:
        """The evidence of a single observation."""
        quality = quality_of(observation)
        moment = Moment(observation.frame, observation.seconds)
        evidence = cls(
            observations=1,
            readings=0,
            refusals=int(observation.reason == NO_PLATE),
            first=moment,
            last=moment,
            first_box=observation.box,
            last_box=observation.box,
            path=path_of(observation),
            best=observation,
            best_quality=quality,
            tallest=height_of(observation),
            sharpest=observation.sharpness,
            surest=observation.detection_confidence,
        )
        if observation.reading is not None and observation.reading.text:
            spelling = _spelling(observation, quality)
            evidence.readings = 1
            evidence.weights = spelling.weight
            evidence.squares = spelling.weight**2
            evidence.spellings[observation.reading.text] = spelling
        return evidence

    def add(self, other: Evidence) -> None:
        """Take in the evidence of another part of the same track, which is left unusable."""
        self.observations += other.observations
        join(self.path, other.path)
        self.readings += other.readings
        self.refusals += other.refusals
        if _order(other.first) < _order(self.first):
            self.first, self.first_box = other.first, other.first_box
        if _order(other.last) > _order(self.last):
            self.last, self.last_box = other.last, other.last_box
        if other.best_quality > self.best_quality:
            self.best, self.best_quality = other.best, other.best_quality
        self.tallest = max(self.tallest, other.tallest)
        self.sharpest = max(self.sharpest, other.sharpest)
        self.surest = max(self.surest, other.surest)
        self.weights += other.weights
        self.squares += other.squares
        self.lost += other.lost
        for text, spelling in other.spellings.items():
            if text in self.spellings:
                self.spellings[text].add(spelling)
            else:
                self.spellings[text] = spelling
        while len(self.spellings) > MOST_SPELLINGS:
            text = min(self.spellings, key=lambda t: (self.spellings[t].weight, t))
            self.lost += self.spellings.pop(text).weight

    @property
    def leading(self) -> str:
        """The text with the most weight so far; empty if nothing was read."""
        if not self.spellings:
            return ""
        return max(self.spellings, key=lambda t: (self.spellings[t].weight, t))
