"""What has to be right of an upload's parts before it is signed or completed. No I/O."""

from __future__ import annotations

import base64
import binascii
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from detect_api.core.errors import Conflict, Unprocessable
from detect_api.storage.multipart import Checksum, PartPlan, StoredPart

DIGEST_BYTES: dict[Checksum, int] = {"CRC32C": 4, "SHA256": 32}
_NAMED_RANGES = 10


def check_numbers(plan: PartPlan, numbers: Iterable[int]) -> None:
    """Raises Unprocessable for numbers that the upload does not have."""
    wrong = [number for number in numbers if not 1 <= number <= plan.count]
    if wrong:
        raise Unprocessable(
            f"This upload has the parts 1 to {plan.count}, not {_ranges(wrong)}.",
            code="bad_part_number",
        )


def check_checksums(
    algorithm: Checksum | None, numbers: Sequence[int], checksums: Mapping[int, str]
) -> None:
    """Raises Unprocessable unless each part has a checksum just when the upload has one."""
    if algorithm is None:
        if checksums:
            raise Unprocessable(
                "This upload was begun without a checksum: leave checksums out.",
                code="bad_checksum",
            )
        return
    missing = [number for number in numbers if number not in checksums]
    if missing or len(checksums) != len(numbers):
        raise Unprocessable(
            f"This upload needs the {algorithm} of each part asked for, and of no other: give "
            f"{_ranges(missing) if missing else 'only these'} in checksums.",
            code="bad_checksum",
        )
    wrong = [n for n in numbers if _decoded_bytes(checksums[n]) != DIGEST_BYTES[algorithm]]
    if wrong:
        raise Unprocessable(
            f"The checksum of part {_ranges(wrong)} is no {algorithm}: give its "
            f"{DIGEST_BYTES[algorithm]} bytes in base64.",
            code="bad_checksum",
        )


def latest(stored: Iterable[StoredPart]) -> dict[int, StoredPart]:
    """Each part as it was sent last, by number.

    AWS lists a part once. SeaweedFS lists all that was sent under its number, in no order.
    """
    found: dict[int, StoredPart] = {}
    for part in sorted(stored, key=lambda part: (part.number, part.last_modified)):
        found[part.number] = part
    return found


def choose(
    plan: PartPlan, stored: Iterable[StoredPart], named: Mapping[int, str] | None
) -> list[StoredPart]:
    """The parts that make the file, in order: those with the ETags ``named``, or the latest.

    Raises Conflict with the numbers of those that are missing or wrong, Unprocessable for
    numbers that the upload does not have.
    """
    held: dict[int, list[StoredPart]] = defaultdict(list)
    for part in stored:
        held[part.number].append(part)
    numbers = range(1, plan.count + 1)
    if named is not None:
        check_numbers(plan, named)
    missing = [n for n in numbers if n not in held or (named is not None and n not in named)]
    if missing:
        raise Conflict(
            f"These parts are missing: {_ranges(missing)}. Send them, and complete again.",
            code="parts_missing",
        )
    chosen = [_one(held[n], None if named is None else named[n]) for n in numbers]
    wrong = [
        n
        for n, part in zip(numbers, chosen, strict=True)
        if part is None or part.size != plan.size_of(n)
    ]
    if wrong:
        raise Conflict(
            f"These parts are not in storage with the ETag and size they should have: "
            f"{_ranges(wrong)}. Send them again, and complete again.",
            code="parts_wrong",
        )
    return [part for part in chosen if part is not None]


def _one(same_number: list[StoredPart], etag: str | None) -> StoredPart | None:
    """The part meant; None if there is none, or if it cannot be told which was sent last."""
    if etag is not None:
        return next((p for p in same_number if _bare(p.etag) == _bare(etag)), None)
    newest = max(part.last_modified for part in same_number)
    last = [part for part in same_number if part.last_modified == newest]
    return last[0] if len({_bare(part.etag) for part in last}) == 1 else None


def _bare(etag: str) -> str:
    return etag.strip().strip('"')


def _decoded_bytes(value: str) -> int:
    try:
        return len(base64.b64decode(value, validate=True))
    except (binascii.Error, ValueError):
        return -1


def _ranges(numbers: Iterable[int]) -> str:
    """Numbers as people write them, 1, 3-5, 9, and not too many of them."""
    spans: list[list[int]] = []
    for number in sorted(set(numbers)):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    shown = [str(a) if a == b else f"{a}-{b}" for a, b in spans[:_NAMED_RANGES]]
    return ", ".join(shown) + (" and others" if len(spans) > _NAMED_RANGES else "")
