"""How alike two texts are."""

from __future__ import annotations

_LOOK_ALIKE = str.maketrans("OI", "01")


def look_alike(text: str) -> str:
    """The text with O and I as 0 and 1, which the plates of many countries draw alike."""
    return text.translate(_LOOK_ALIKE)


def edit_distance(a: str, b: str) -> int:
    """Levenshtein's distance: insertions, deletions and substitutions from a to b."""
    if a == b:
        return 0
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]
