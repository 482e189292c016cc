"""The embedded storage after its disk was full: SeaweedFS does not get over it by itself."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from detect_api.local import full_disk
from detect_api.local.full_disk import FullDisk
from detect_api.local.stack import Stack
from detect_api.storage.s3 import make_client
from tests.conftest import make_settings
from tests.fault.faults import no_space
from tests.fault.world import small_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as (at, small):
        if not small:
            pytest.skip("A disk that can be filled needs root and tmpfs.")
        yield at


def test_storage_stores_again_when_there_is_room_again(disk: Path) -> None:
    stack = Stack(make_settings(data_dir=disk / "servers"), api=False)
    stack.start()
    try:
        client = make_client(stack.settings, public=False)
        bucket = str(stack.settings.s3_bucket_name)

        def stores(number: int) -> bool:
            # Which journal a name is written to follows from its folder.
            try:
                client.put_object(Bucket=bucket, Key=f"videos/{number % 40}/{number}", Body=b"x")
            except (ClientError, BotoCoreError):
                return False
            return True

        assert all(stores(number) for number in range(40))
        with no_space(disk, random.Random(1)):
            refused = 0
            end = time.monotonic() + 60
            while refused < 400 and time.monotonic() < end:
                refused += not stores(1000 + refused)
        assert refused
        end = time.monotonic() + 90
        while not all(stores(number) for number in range(40)):
            assert time.monotonic() < end, "storage refuses objects although its disk has room"
            time.sleep(0.5)
        for number in range(40):
            assert client.get_object(Bucket=bucket, Key=f"videos/{number}/{number}")["Body"].read()
    finally:
        stack.stop(fast=True)


def test_a_program_is_started_again_only_if_it_complains_while_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    watch = FullDisk(tmp_path)

    def after(seconds: float, *, says: bool) -> bool:
        now[0] += seconds
        if says:
            watch.heed("E1129 write 000003.log: no space left on device")
        return watch.must_restart()

    assert not after(0, says=True)
    assert not after(1, says=True)
    assert not after(60, says=False)
    assert after(1, says=True)
    assert not after(1, says=False)
    assert not after(4, says=True), "it comes less and less often where it does not help"
    assert after(3, says=True)
    monkeypatch.setattr(full_disk, "ROOM_BYTES", 2**62)
    assert not after(100, says=True), "there is no room yet"
