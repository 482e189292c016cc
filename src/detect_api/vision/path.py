"""Where one plate was, frame by frame, in a bounded space."""

from __future__ import annotations

import math

from detect_api.vision.types import Observation, Path, Place

MOST_PLACES = 512
"""Places that one track keeps; hardly any vehicle that drives is seen in more frames."""

_THINNED_TO = 384


def path_of(observation: Observation) -> Path:
    """The path of a plate that was seen once."""
    return Path([Place(observation.frame, observation.seconds, observation.box)])


def join(path: Path, other: Path) -> None:
    """Takes the places of another part of the same track into ``path``.

    Of two places in one frame the one that was there stays. Beyond ``MOST_PLACES`` those go
    that the places around them tell best.
    """
    if other.places[0].frame > path.places[-1].frame:
        path.places += other.places
    else:
        by_frame = {place.frame: place for place in (*other.places, *path.places)}
        path.places = [by_frame[frame] for frame in sorted(by_frame)]
    path.thinned = path.thinned or other.thinned
    while len(path.places) > MOST_PLACES:
        _thin(path)


def _thin(path: Path) -> None:
    """Drops the cheapest places, no two neighbours at once, and never the first or the last."""
    places = path.places
    by_cost = sorted(range(1, len(places) - 1), key=lambda i: (_cost(*places[i - 1 : i + 2]), i))
    dropped: set[int] = set()
    for index in by_cost:
        if len(places) - len(dropped) <= _THINNED_TO:
            break
        if index - 1 not in dropped and index + 1 not in dropped:
            dropped.add(index)
    path.places = [place for index, place in enumerate(places) if index not in dropped]
    path.thinned = True


def _cost(before: Place, place: Place, after: Place) -> float:
    """What is lost without a place: how far off the straight line it lies, and for how long.

    As in Visvalingam and Whyatt 1993 this is an area; one pixel more keeps the places of a plate
    that stands evenly apart.
    """
    span = after.frame - before.frame
    share = (place.frame - before.frame) / span
    (ax, ay), (bx, by), (x, y) = before.box.center, after.box.center, place.box.center
    off = math.hypot(ax + share * (bx - ax) - x, ay + share * (by - ay) - y)
    return (1 + off) * span
