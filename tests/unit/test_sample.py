"""The sample clip, read by the whole pipeline."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from detect_api.vision.pipeline import Engine, Merge, observe
from detect_api.vision.sample import make_sample
from detect_api.vision.types import Frame, Parameters


def frames(path: Path, step: int) -> Iterator[Frame]:
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % step == 0:
                image = frame.to_ndarray(format="bgr24").astype(np.uint8, copy=False)
                yield Frame(number, float(frame.time or 0.0), image)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    path = tmp_path_factory.mktemp("sample") / "sample.mp4"
    return path, make_sample(path)


def test_its_plates_are_read_exactly(sample: tuple[Path, list[str]]) -> None:
    path, plates = sample
    result = observe(frames(path, 2), Engine.load(), expected=48)
    merge = Merge.new(Parameters(frame_skip=2))
    told, rest = merge.advance(result, 8.0), merge.finish()
    found = sorted([*told.plates, *rest.plates], key=lambda plate: plate.first_seen.seconds)
    assert result.missing_frames == 0
    assert sorted(plate.text for plate in found) == sorted(plates)
    assert [plate.text for plate in found[:2]] == plates[:2]
    assert not [*told.unread, *rest.unread]


def test_it_is_a_clip_that_players_take(sample: tuple[Path, list[str]]) -> None:
    path, plates = sample
    assert len(plates) == 4
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert (stream.width, stream.height, stream.frames) == (960, 540, 96)
        assert stream.average_rate == 12
        assert stream.codec_context.pix_fmt == "yuv420p"


def test_the_same_arguments_give_the_same_clip(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.mp4", "b.mp4", "c.mp4")]
    texts = [make_sample(f, seconds=4, seed=s) for f, s in zip(files, (1, 1, 2), strict=True)]
    assert texts[0] == texts[1] != texts[2]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_longer_clip_has_more_cars_and_no_plate_twice(tmp_path: Path) -> None:
    started = time.monotonic()
    plates = make_sample(tmp_path / "long.mp4", seconds=20, fps=2)
    assert len(plates) == len(set(plates)) == 12
    assert time.monotonic() - started < 60
