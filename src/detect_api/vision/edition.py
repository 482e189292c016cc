"""Which versions of the service can work on one job together.

A job is planned, read and merged by many processes, and during an upgrade they are of two
versions. What they hand each other is only sound between versions that write the same values
(``wire.VERSION``), cut and read a video in the same way (``STEPS``) and use the same weights.
"""

from __future__ import annotations

import hashlib
from functools import cache

from detect_api.vision import general, wire
from detect_api.vision.models import pinned

STEPS = 1
"""Raised when the same video, parameters and weights give other segments or observations."""


@cache
def edition() -> str:
    """The edition of this version: equal for all versions whose workers can share a job.

    The same on every machine: not the arithmetic of its processor, which may differ (ADR 20).
    """
    weights = [*sorted(pinned().items()), (general.MODEL, general.MODEL_SHA256)]
    digest = hashlib.sha256(repr(weights).encode()).hexdigest()
    return f"{wire.VERSION}.{STEPS}.{digest[:8]}"
