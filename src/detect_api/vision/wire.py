"""The pipeline's values as bytes for the database, and as JSON for clients.

``dump`` and ``load`` carry any dataclass of the pipeline exactly: every field by its position,
floats with all their digits (Python writes the shortest decimal that reads back as the same
number), compressed. The same value always gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
import zlib
from functools import cache
from typing import Any, TypeVar

from detect_api.vision.types import (
    Box,
    Moment,
    Observation,
    Path,
    Plate,
    SegmentResult,
    UnreadTrack,
)

VERSION = 3
"""Raised when a dataclass that is stored changes its fields; jobs that are in work then stay with
the workers of the version before (``edition``)."""

T = TypeVar("T")


def dump(value: Any) -> bytes:
    """A dataclass as compressed bytes."""
    text = json.dumps([VERSION, type(value).__name__, _plain(value)], separators=(",", ":"))
    return zlib.compress(text.encode(), 6)


def load(kind: type[T], data: bytes) -> T:
    """What ``dump`` was given. Raises ValueError for bytes that are not a dump of ``kind``."""
    try:
        version, name, fields = json.loads(zlib.decompress(data))
        value = _value(kind, fields) if (version, name) == (VERSION, kind.__name__) else None
    except (zlib.error, TypeError, ValueError) as error:
        raise ValueError(f"these bytes are no stored {kind.__name__}: {error}") from error
    if value is None:
        raise ValueError(f"these bytes hold {name} of version {version}, not {kind.__name__}")
    return typing.cast(T, value)


def dump_result(result: SegmentResult) -> bytes:
    """A segment's result as bytes."""
    return dump(result)


def load_result(data: bytes) -> SegmentResult:
    """Raises ValueError for bytes that ``dump_result`` did not make."""
    return load(SegmentResult, data)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return [_plain(getattr(value, field.name)) for field in dataclasses.fields(value)]
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return [[key, _plain(item)] for key, item in value.items()]
    return value


@cache
def _hints(kind: type) -> tuple[Any, ...]:
    hints = typing.get_type_hints(kind)
    return tuple(hints[field.name] for field in dataclasses.fields(kind))


def _value(kind: Any, plain: Any) -> Any:
    """The inverse of ``_plain`` for a value annotated as ``kind``."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        (inner,) = (argument for argument in arguments if argument is not types.NoneType)
        return None if plain is None else _value(inner, plain)
    if origin is tuple:
        kinds = arguments[:1] * len(plain) if arguments[1:] == (...,) else arguments
        return tuple(_value(k, item) for k, item in zip(kinds, plain, strict=True))
    if origin is list:
        return [_value(arguments[0], item) for item in plain]
    if origin is dict:
        return {key: _value(arguments[1], item) for key, item in plain}
    if dataclasses.is_dataclass(kind):
        hints = _hints(typing.cast(type, kind))
        return typing.cast(type, kind)(
            *(_value(hint, item) for hint, item in zip(hints, plain, strict=True))
        )
    return plain


def plate_json(plate: Plate) -> dict[str, Any]:
    """A plate as ``GET /jobs/{id}/result`` shows it, less the ids and URLs of the service."""
    return {
        "text": plate.text,
        "confidence": plate.confidence,
        "candidates": [{"text": c.text, "confidence": c.confidence} for c in plate.candidates],
        "characters": [{"char": c, "confidence": p} for c, p in plate.characters],
        "first_seen": _moment(plate.first_seen),
        "last_seen": _moment(plate.last_seen),
        "observations": plate.observations,
        "direction": plate.direction,
        "best": _best(plate.best),
    }


def unread_json(track: UnreadTrack) -> dict[str, Any]:
    """A track that was not read, likewise."""
    return {
        "track_id": track.track_id,
        "first_seen": _moment(track.first_seen),
        "last_seen": _moment(track.last_seen),
        "observations": track.observations,
        "reason": track.reason,
        "best": _best(track.best),
    }


def path_json(path: Path) -> dict[str, Any]:
    """A path as it is kept beside its plate: columns of equal length, boxes in tenths of pixels."""
    return {
        "frames": [place.frame for place in path.places],
        "seconds": [round(place.seconds, 4) for place in path.places],
        "boxes": [
            [round(side, 1) for side in (p.box.x1, p.box.y1, p.box.x2, p.box.y2)]
            for p in path.places
        ],
        "thinned": path.thinned,
    }


def _moment(moment: Moment) -> dict[str, Any]:
    return {"frame": moment.frame, "seconds": moment.seconds}


def _best(observation: Observation) -> dict[str, Any]:
    return {
        "frame": observation.frame,
        "seconds": observation.seconds,
        "bbox": _bbox(observation.box),
        "detection_confidence": observation.detection_confidence,
    }


def _bbox(box: Box) -> dict[str, float]:
    return {"x1": box.x1, "y1": box.y1, "x2": box.x2, "y2": box.y2}
