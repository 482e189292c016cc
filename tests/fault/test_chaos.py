"""A few rounds of chaos; ``make chaos`` plays 200."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import short_folder
from tests.fault import faults
from tests.fault.chaos import Chaos, keep_logs, make_videos
from tests.fault.world import make_world

SEED = 20261128

ROUNDS: tuple[tuple[faults.Fault, ...], ...] = (
    (faults.kill_a_part, faults.throttled_storage),
    (faults.full_disk, faults.clock_jump),
    (faults.fail_over, faults.two_sweeps, faults.api_clock_jump),
)


@pytest.fixture(scope="module")
def chaos() -> Iterator[Chaos]:
    rng = random.Random(SEED)
    with short_folder() as folder, make_world(folder, rng) as world:
        yield Chaos(world, make_videos(folder), SEED)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "harm", ROUNDS, ids=lambda harm: " and ".join(fault.__name__ for fault in harm)
)
def test_after_faults_all_is_as_without_them(
    chaos: Chaos, harm: tuple[faults.Fault, ...], tmp_path: Path
) -> None:
    played = chaos.play(harm)
    if played.broken:
        keep_logs(chaos.world, tmp_path)
    assert not played.broken, f"{played}\n{played.broken}\nlogs: {tmp_path}"
