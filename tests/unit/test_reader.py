"""A video in storage as its decoder reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from detect_api.core.errors import StorageError
from detect_api.storage.directory import DirectoryStore
from detect_api.storage.reader import ObjectSource

KEY = "videos/20261129_020000_0123abcd.mp4"


def test_an_answer_that_is_too_short_is_an_error_and_not_the_end_of_the_video(
    tmp_path: Path,
) -> None:
    store = DirectoryStore(tmp_path)
    store.put(KEY, bytes(100), "video/mp4")
    whole = ObjectSource(store, KEY, 100, None)
    assert [len(whole.read_at(offset, 60)) for offset in (0, 60, 100)] == [60, 40, 0]
    assert whole.bytes_read == 100
    longer = ObjectSource(store, KEY, 200, None)
    assert len(longer.read_at(0, 60)) == 60
    for offset in (60, 100):
        with pytest.raises(StorageError):
            longer.read_at(offset, 60)
