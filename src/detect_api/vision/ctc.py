"""From the reader network's steps to texts with probabilities.

The network gives, for each of a row of steps, the probabilities of a blank and of each character
(connectionist temporal classification, Graves et al. 2006). A text's probability is the sum over
all ways to spell it with these steps; ``texts`` finds the likeliest ones, ``characters`` says what
else each character of a text may be.
"""

from __future__ import annotations

import itertools
import string
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detect_api.vision.types import CharacterScores

ALPHABET = string.digits + string.ascii_uppercase
"""The characters in the order of the network's classes 1 … 36; class 0 is the blank."""

Steps = NDArray[np.float32]
"""float32, shape (steps, 37): the probabilities of blank and ``ALPHABET`` at each step."""

WIDTH = 16
"""How many prefixes the search keeps."""

LEAST = 1e-4
"""Characters less likely at a step are not followed there."""

LEAST_SHARE = 1e-5
"""Nor are prefixes that would be less likely than the best one by this factor."""

KEPT_SCORES = 5
LEAST_SCORE = 1e-4


@dataclass(slots=True)
class _Prefix:
    """How likely the steps so far spell a prefix: with a blank at the end, and without."""

    blank: float = 0.0
    other: float = 0.0

    @property
    def total(self) -> float:
        return self.blank + self.other


def texts(steps: Steps, *, width: int = WIDTH) -> list[tuple[str, float]]:
    """The likeliest texts with their probabilities, likeliest first; "" may be among them.

    Prefix beam search (Hannun et al. 2014, arXiv:1408.2873, without a language model). The
    probabilities of what the search dropped are missing, so that they sum to at most 1.
    """
    beam = {"": _Prefix(blank=1.0)}
    for blank, likely in _possible(steps):
        if not likely:
            for prefix in beam.values():
                prefix.blank, prefix.other = prefix.total * blank, 0.0
            continue
        beam = _extended(beam, blank, likely, width)
        if len(beam) > width:
            beam = dict(sorted(beam.items(), key=_by_total)[:width])
    return [(text, prefix.total) for text, prefix in sorted(beam.items(), key=_by_total)]


def _by_total(item: tuple[str, _Prefix]) -> tuple[float, str]:
    return -item[1].total, item[0]


def _by_probability(item: tuple[str, float]) -> tuple[float, str]:
    return -item[1], item[0]


def _possible(steps: Steps) -> list[tuple[float, list[tuple[str, float]]]]:
    """For each step the probability of a blank, and the characters to follow, likeliest first."""
    likely: list[list[tuple[str, float]]] = [[] for _ in steps]
    for step, i in np.argwhere(steps[:, 1:] >= LEAST).tolist():
        likely[step].append((ALPHABET[i], float(steps[step, i + 1])))
    for characters in likely:
        characters.sort(key=_by_probability)
    return list(zip(steps[:, 0].tolist(), likely, strict=True))


def _extended(
    beam: dict[str, _Prefix], blank: float, likely: list[tuple[str, float]], width: int
) -> dict[str, _Prefix]:
    """The prefixes after a step that may be a blank or one of ``likely``."""
    totals = [prefix.total for prefix in beam.values()]
    floor = LEAST_SHARE * max(totals)
    if len(beam) == width:
        # What is less likely than all of the beam with a blank added will not be kept.
        floor = max(floor, blank * min(totals))
    result: dict[str, _Prefix] = {}
    for (text, prefix), total in zip(beam.items(), totals, strict=True):
        same = result.setdefault(text, _Prefix())
        same.blank += total * blank
        for character, p in likely:
            if total * p < floor:
                break
            longer = result.setdefault(text + character, _Prefix())
            if text.endswith(character):
                same.other += prefix.other * p  # the character goes on
                longer.other += prefix.blank * p  # it comes again, after a blank
            else:
                longer.other += total * p
    return {text: prefix for text, prefix in result.items() if prefix.blank or prefix.other}


def characters(steps: Steps, text: str) -> tuple[CharacterScores, ...]:
    """What each character of ``text`` may be: the likeliest few, with their probabilities.

    Each character takes the steps that it has in the likeliest way to spell the text; the
    probabilities are the largest that its steps give, scaled down where they sum to more than 1.
    Raises ValueError if the steps are too few for the text.
    """
    return tuple(
        _scores(steps[start:end, 1:].max(axis=0)) for start, end in _alignment(steps, text)
    )


def _scores(probabilities: NDArray[np.float32]) -> CharacterScores:
    """The best few characters of one place; ``probabilities`` follows ``ALPHABET``."""
    total = max(1.0, float(probabilities.sum()))
    order = np.argsort(-probabilities, kind="stable")[:KEPT_SCORES].tolist()
    ranked = [(ALPHABET[i], round(float(probabilities[i]) / total, 6)) for i in order]
    return CharacterScores(tuple(p for i, p in enumerate(ranked) if i == 0 or p[1] >= LEAST_SCORE))


def _alignment(steps: Steps, text: str) -> list[tuple[int, int]]:
    """(start, end) of the steps of each character in the likeliest way to spell ``text``."""
    path = steps.argmax(axis=1).tolist()
    runs = [(kind, start, end) for kind, start, end in _runs(path) if kind]
    if "".join(ALPHABET[kind - 1] for kind, _, _ in runs) == text:
        return [(start, end) for _, start, end in runs]  # no way is likelier than the best path
    states = _best_path(steps, [ALPHABET.index(character) + 1 for character in text])
    return [(start, end) for state, start, end in _runs(states) if state % 2]


def _runs(path: list[int]) -> Iterator[tuple[int, int, int]]:
    """(entry, start, end) of each stretch of equal entries."""
    start = 0
    for entry, run in itertools.groupby(path):
        end = start + len(list(run))
        yield entry, start, end
        start = end


def _best_path(steps: Steps, classes: list[int]) -> list[int]:
    """The state at each step: 2 * i + 1 in the i-th character, even in the blanks around them.

    Viterbi's algorithm over the states blank, first, blank, second, …, blank; the blank between two
    characters may be left out if they differ.
    """
    labels = [0]
    for label in classes:
        labels += [label, 0]
    count = len(labels)
    logs = np.log(np.maximum(steps[:, labels], 1e-30)).astype(np.float64)
    skips = np.array([i % 2 == 1 and i > 1 and labels[i] != labels[i - 2] for i in range(count)])
    score = np.full(count, -np.inf)
    score[:2] = logs[0, :2]
    back = np.zeros((len(steps), count), dtype=np.int64)
    for step in range(1, len(steps)):
        one = np.concatenate([[-np.inf], score[:-1]])
        two = np.where(skips, np.concatenate([[-np.inf, -np.inf], score])[:count], -np.inf)
        options = np.stack([score, one, two])
        back[step] = options.argmax(axis=0)
        score = options.max(axis=0) + logs[step]
    state = max((count - 1, count - 2), key=lambda s: score[s]) if count > 1 else 0
    if not np.isfinite(score[state]):
        raise ValueError(f"{len(steps)} steps are too few for {len(classes)} characters")
    path = [state]
    for step in range(len(steps) - 1, 0, -1):
        state -= int(back[step, state])
        path.append(state)
    return path[::-1]
