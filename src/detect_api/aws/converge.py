"""Brings something to what is wanted, one aspect after the other, and tells what it changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from detect_api.aws.connection import code_of, reason

T = TypeVar("T")
Status = Literal["unchanged", "changed", "would change", "not on this store", "failed"]
NOTHING = "nothing"
# A new bucket, user or role is not known everywhere at once, and AWS takes one change at a time.
PASSING = {"OperationAborted", "NoSuchBucket", "NoSuchEntity", "ConcurrentModification"}
WAITS = (1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True)
class Change:
    """One aspect: how it was and how it is now (or would be).

    ``before`` and ``after`` are in words; None where there is nothing. ``detail`` says why it
    failed, or what else there is to know.
    """

    name: str
    status: Status
    before: str | None = None
    after: str | None = None
    detail: str = ""


@dataclass(frozen=True)
class Aspect:
    """One thing that can be read, compared and written.

    ``read`` returns None where there is nothing, ``wanted`` makes of that what is to be there,
    ``same`` compares both, ``write`` puts the second in place, and ``show`` puts one into words.
    """

    name: str
    read: Callable[[], Any]
    wanted: Callable[[Any], Any]
    write: Callable[[Any], None]
    show: Callable[[Any], str]
    read_action: str
    write_action: str
    same: Callable[[Any, Any], bool] = lambda found, wanted: bool(found == wanted)
    note: str = ""


def converge(
    aspects: list[Aspect],
    *,
    dry_run: bool,
    absent: bool = False,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[Change]:
    """Brings each aspect to what is wanted; one that fails does not keep the others from it.

    ``absent``: the whole thing is not there yet, so there is nothing to read. ``dry_run``:
    writes nothing.
    """
    for aspect in aspects:
        yield _one(aspect, dry_run, absent, pause)


def _one(aspect: Aspect, dry_run: bool, absent: bool, pause: Callable[[float], None]) -> Change:
    try:
        found = None if absent else patiently(aspect.read, pause)
    except (ClientError, BotoCoreError) as error:
        return Change(aspect.name, "failed", detail=reason(error, aspect.read_action))
    wanted = aspect.wanted(found)
    before = None if found is None else aspect.show(found)
    after = None if wanted is None else aspect.show(wanted)
    if (found is not None and aspect.same(found, wanted)) or (found is None and wanted is None):
        return Change(aspect.name, "unchanged", before, before, aspect.note)
    if dry_run:
        return Change(aspect.name, "would change", before, after, aspect.note)
    try:
        patiently(lambda: aspect.write(wanted), pause)
    except (ClientError, BotoCoreError) as error:
        return Change(aspect.name, "failed", before, after, reason(error, aspect.write_action))
    return Change(aspect.name, "changed", before, after, aspect.note)


def patiently(call: Callable[[], T], pause: Callable[[float], None] = time.sleep) -> T:
    """What a call answers; tried again, a few times and ever later, where the error may pass."""
    for seconds in WAITS:
        try:
            return call()
        except ClientError as error:
            if code_of(error) not in PASSING:
                raise
        pause(seconds)
    return call()


def found_or_none(call: Callable[[], Any], *missing: str) -> Any:
    """What a call answers, or None where it answers that there is none (one of these codes)."""
    try:
        return call()
    except ClientError as error:
        if code_of(error) in missing:
            return None
        raise
