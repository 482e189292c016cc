"""How a file is cut into parts, and which of the parts in storage make it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detect_api.core.config import MIB
from detect_api.core.errors import Conflict
from detect_api.db.tables import Removal
from detect_api.jobs.receipts import clear
from detect_api.services.part_checks import choose, latest
from detect_api.storage.directory import DirectoryStore
from detect_api.storage.multipart import LEAST_PART, MAX_PARTS, PartPlan, StoredPart

TIB = 1024**4
MORNING = datetime(2025, 1, 13, 8, tzinfo=UTC)


@given(st.integers(min_value=1, max_value=40 * TIB))
def test_any_file_fits_into_parts_that_s3_takes(size: int) -> None:
    plan = PartPlan.of(size)
    assert 1 <= plan.count <= MAX_PARTS
    assert LEAST_PART <= plan.part_size <= 5 * 1024 * MIB
    assert plan.part_size % MIB == 0
    last = plan.size_of(plan.count)
    assert 1 <= last <= plan.part_size
    assert (plan.count - 1) * plan.part_size + last == size


@pytest.mark.parametrize(
    ("size", "part_mib", "count"),
    [
        (1, 8, 1),
        (8 * MIB, 8, 1),
        (8 * MIB + 1, 8, 2),
        (6 * 1024**3, 8, 768),
        (100 * 1024**3, 32, 3200),
        (5497558138880, 525, 9987),
    ],
)
def test_parts_grow_only_where_there_would_be_too_many(
    size: int, part_mib: int, count: int
) -> None:
    plan = PartPlan.of(size)
    assert (plan.part_size, plan.count) == (part_mib * MIB, count)


def part(number: int, etag: str, size: int = LEAST_PART, minutes: int = 0) -> StoredPart:
    return StoredPart(number, f'"{etag}"', size, MORNING + timedelta(minutes=minutes))


PLAN = PartPlan(LEAST_PART + 5, LEAST_PART)


def test_the_part_sent_last_counts_in_whatever_order_it_is_listed() -> None:
    old, new, end = part(1, "old"), part(1, "new", minutes=1), part(2, "end", 5)
    for stored in ([old, new, end], [new, old, end], [end, new, old]):
        assert choose(PLAN, stored, None) == [new, end]
        assert list(latest(stored).values()) == [new, end]
        assert choose(PLAN, stored, {1: "old", 2: '"end"'}) == [old, end]


def test_of_two_different_parts_at_the_same_time_none_is_guessed() -> None:
    stored = [part(1, "one"), part(1, "other"), part(2, "end", 5)]
    with pytest.raises(Conflict, match=r"\b1\b") as caught:
        choose(PLAN, stored, None)
    assert caught.value.code == "parts_wrong"
    assert choose(PLAN, stored, {1: "other", 2: "end"})[0].etag == '"other"'
    same = [part(1, "one"), part(1, "one"), part(2, "end", 5)]
    assert choose(PLAN, same, None)[0].etag == '"one"'


def test_a_part_of_the_wrong_size_is_named() -> None:
    stored = [part(1, "one"), part(2, "end", 6)]
    with pytest.raises(Conflict, match=": 2") as caught:
        choose(PLAN, stored, None)
    assert caught.value.code == "parts_wrong"
    assert choose(PLAN, [stored[0], replace(stored[1], size=5)], None)


def test_missing_parts_are_named_in_ranges_and_not_too_many_of_them() -> None:
    plan = PartPlan(100 * LEAST_PART, LEAST_PART)
    with pytest.raises(Conflict, match=r"2-9, 11-100\.") as caught:
        choose(plan, [part(1, "a"), part(10, "a")], None)
    assert caught.value.code == "parts_missing"
    with pytest.raises(Conflict, match=r"1, 3, 5, 7, 9, 11, 13, 15, 17, 19 and others\."):
        choose(plan, [part(n, "a") for n in range(2, 101, 2)], None)


def test_parts_begun_in_s3_are_no_trouble_once_it_is_off(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    removal = Removal(prefix="videos/a.mp4", multipart_id="d8500f9dc792986a_44c7195a6e1e4101")
    clear(store, removal)
    begun = store.begin("videos/a.mp4", "video/mp4", {})
    clear(store, Removal(prefix="videos/a.mp4", multipart_id=begun.id))
    assert list((tmp_path / "parts").iterdir()) == []
    begun.abort()
