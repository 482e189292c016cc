"""Deciding the text of a track by all its readings.

``vote`` turns a track's ``Evidence`` into a text with an honest confidence.

Readings of different length are aligned to one another by edit distance; at each place the
logarithms of the character probabilities are added up, weighted by the quality of the picture
(a weighted product of experts). Frames of one track err alike, so that n readings count as an
effective number that grows from 1 and saturates at ``MOST_EFFECTIVE``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from detect_api.vision.alike import edit_distance
from detect_api.vision.ctc import ALPHABET
from detect_api.vision.evidence import LENGTHS, Evidence, Spelling
from detect_api.vision.types import Candidate, Observation

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
