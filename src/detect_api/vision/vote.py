"""Deciding the text of a track by all its readings.

``Evidence`` takes in the observations of one track in a bounded space, whatever their number.
``vote`` turns it into a text with an honest confidence.

Readings of different length are aligned to one another by edit distance; at each place the
logarithms of the character probabilities are added up, weighted by the quality of the picture
(a weighted product of experts). Frames of one track err alike, so that n readings count as an
effective number that grows from 1 and saturates at ``MOST_EFFECTIVE``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from detect_api.vision.alike import edit_distance
from detect_api.vision.ctc import ALPHABET
from detect_api.vision.types import (
    NO_PLATE,
    Box,
    Candidate,
    CharacterScores,
    Moment,
    Observation,
    Reading,
)

LENGTHS = range(2, 11)
"""How many characters a plate has; a single one is a part of a plate more often than one."""

MOST_SPELLINGS = 24
"""Distinct texts that one track keeps; beyond, the one with the least weight goes."""

DOUBT_SHARP, DOUBT_POOR = 0.001, 0.01
"""How often a reading is taken to be wrong at a place whatever it says: in the best and the
worst picture. It keeps a single reading from ruling out what all others say."""

MISSED = 0.003
"""How likely a reading leaves out a character or sees one too many. Both together must stay less
likely than that it takes one character for another, which is never less than the doubt's share."""

MOST_EFFECTIVE = 1.5
"""The number of independent readings that endlessly many readings of one track are worth.

Of 1.5 to 6 this fitted best to how often votes over made-up tracks were right (``bench.voting``):
what one frame hides, the next ones mostly hide, too."""

SYSTEMATIC = 0.002
"""Per character, the part of errors that all frames share (O for 0) and no vote removes."""

MOST_CANDIDATES = 5
_LEAST_CANDIDATE = 0.001


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


@dataclass(frozen=True, slots=True)
class Vote:
    """The text that the readings of a track agree on.

    ``confidence`` is the probability that all of ``text`` is right, ``characters`` holds that of
    each character. ``best`` is the observation whose own reading agrees with the text (or comes
    nearest) in the best picture.
    """

    text: str
    confidence: float
    characters: tuple[tuple[str, float], ...]
    candidates: tuple[Candidate, ...]
    best: Observation


def vote(evidence: Evidence) -> Vote | None:
    """Decide; None if no reading has a plate's length."""
    families = [f for length in LENGTHS if (f := _family(evidence, length)) is not None]
    if not families:
        return None
    highest = max(family.log_total for family in families)
    total = math.fsum(math.exp(family.log_total - highest) for family in families)
    kept = 1 - evidence.lost / evidence.weights
    texts: dict[str, float] = {}
    chances: dict[str, tuple[tuple[str, float], ...]] = {}
    for family in families:
        share = kept * math.exp(family.log_total - highest) / total
        for text, chance, characters in family.likeliest():
            confidence = share * chance * (1 - SYSTEMATIC) ** len(text)
            if confidence > texts.get(text, -1.0):
                texts[text], chances[text] = confidence, characters
    ranked = sorted(texts.items(), key=lambda item: (-item[1], item[0]))
    text, confidence = ranked[0]
    candidates = tuple(
        Candidate(t, round(c, 6))
        for i, (t, c) in enumerate(ranked[:MOST_CANDIDATES])
        if i == 0 or c >= _LEAST_CANDIDATE
    )
    return Vote(text, round(confidence, 6), chances[text], candidates, _proof(evidence, text))


def _proof(evidence: Evidence, text: str) -> Observation:
    def rank(spelled: str) -> tuple[int, float, str]:
        return edit_distance(spelled, text), -evidence.spellings[spelled].best_quality, spelled

    return evidence.spellings[min(evidence.spellings, key=rank)].best


@dataclass(frozen=True, slots=True)
class _Family:
    """All texts of one length: for each place the probability of each character seen there.

    ``log_total`` is the logarithm of the likelihood of all texts of that length together, up to
    a constant that is the same for all families of one track.
    """

    places: tuple[dict[str, float], ...]
    log_total: float

    def likeliest(self) -> Iterable[tuple[str, float, tuple[tuple[str, float], ...]]]:
        """The most probable texts: (text, probability within the family, its characters)."""
        ranked = [
            sorted(place.items(), key=lambda item: (-item[1], item[0]))[:3] for place in self.places
        ]
        base = [place[0] for place in ranked]
        changes = [(i, item) for i, place in enumerate(ranked) for item in place[1:]]
        changes.sort(key=lambda change: (-change[1][1] / base[change[0]][1], change[0]))
        pairs = itertools.combinations(changes[:4], 2)
        for chosen in [(), *((change,) for change in changes[:8]), *pairs]:
            characters = list(base)
            for place, item in chosen:
                characters[place] = item
            yield (
                "".join(c for c, _ in characters),
                math.prod(p for _, p in characters),
                tuple((c, round(p * (1 - SYSTEMATIC), 6)) for c, p in characters),
            )


def _family(evidence: Evidence, length: int) -> _Family | None:
    """The texts of one length, aligned to the heaviest spelling of that length."""
    spellings = evidence.spellings
    own = [text for text in spellings if len(text) == length]
    if not own:
        return None
    anchor = max(own, key=lambda text: (spellings[text].weight, text))
    tables: list[dict[str, float]] = [{} for _ in range(length)]
    constant = 0.0
    for spelling in spellings.values():
        constant += _align(spelling, anchor, tables)
    heat = effective(evidence) / math.fsum(s.weight for s in spellings.values())
    places: list[dict[str, float]] = []
    log_total = heat * constant
    for table in tables:
        top = max(table.values())
        sizes = {c: math.exp(heat * (value - top)) for c, value in table.items()}
        unseen = (len(ALPHABET) - len(table)) * math.exp(-heat * top)
        whole = math.fsum(sizes.values()) + unseen
        places.append({c: size / whole for c, size in sizes.items()})
        log_total += heat * top + math.log(whole)
    return _Family(tuple(places), log_total)


def effective(evidence: Evidence) -> float:
    """How many independent readings the track's readings are worth, 1 … ``MOST_EFFECTIVE``.

    Kish's effective sample size of the weights, saturated.
    """
    number = evidence.weights**2 / evidence.squares
    return number * MOST_EFFECTIVE / (number + MOST_EFFECTIVE - 1)


def _align(spelling: Spelling, anchor: str, tables: Sequence[dict[str, float]]) -> float:
    """Add a spelling's sums to the places of ``anchor`` by the best alignment.

    Returns the part of the likelihood that does not depend on the characters: floors and gaps.
    """
    gap = spelling.weight * math.log(MISSED)
    rows, columns = len(spelling.sums), len(anchor)
    score = [[0.0] * (columns + 1) for _ in range(rows + 1)]
    for i in range(rows + 1):
        for j in range(columns + 1):
            options = []
            if i and j:
                fit = _fit(spelling, i - 1, anchor[j - 1])
                options.append(score[i - 1][j - 1] + fit)
            if i:
                options.append(score[i - 1][j] + gap)
            if j:
                options.append(score[i][j - 1] + gap)
            score[i][j] = max(options, default=0.0)
    constant, i, j = 0.0, rows, columns
    while i or j:
        here = score[i][j]
        fit = _fit(spelling, i - 1, anchor[j - 1]) if i and j else 0.0
        if i and j and here == score[i - 1][j - 1] + fit:
            i, j = i - 1, j - 1
            constant += spelling.floors[i]
            table = tables[j]
            for character, value in spelling.sums[i].items():
                table[character] = table.get(character, 0.0) + value
        elif i and here == score[i - 1][j] + gap:
            i, constant = i - 1, constant + gap
        else:
            j, constant = j - 1, constant + gap
    return constant


def _fit(spelling: Spelling, place: int, character: str) -> float:
    return spelling.floors[place] + spelling.sums[place].get(character, 0.0)
