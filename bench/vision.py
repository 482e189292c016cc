"""Recognition: what each stage takes, and how close reading a video comes to only decoding it.

Everything runs on one clip of 1080p, drawn here or named by ``BENCH_CLIP``. The peers read frames
of the same clip in the same run, each on one core: ``rapidocr`` from this environment, SimpleLPR
if there is a virtual environment ``.venv-peers`` (see ``bench/peers``).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import psutil

from bench.report import Report, median_ms, say
from detect_api.cli.local_run import observe_file
from detect_api.client import Client
from detect_api.core.config import Settings
from detect_api.local.stack import Stack
from detect_api.vision.crop import rectify
from detect_api.vision.detect import PlateDetector
from detect_api.vision.pipeline import Engine
from detect_api.vision.sample import make_sample
from detect_api.vision.types import Frame, Image, Parameters, Plate

CLIP_SECONDS, FPS = 20, 30
WIDTH, HEIGHT = 1920, 1080
BITS_PER_SECOND = 4_000_000
"""What such cameras are set to."""

ROUNDS = 3
"""Decoding alone and reading take turns so often; the medians count."""

PEER_FRAMES = 5
PEERS_PYTHON = Path(".venv-peers/bin/python")
MB = 1024**2


def measure(stack: Stack, report: Report) -> None:
    """The stages one by one, then a clip in this process, then in a worker."""
    with tempfile.TemporaryDirectory(prefix="da-bench-") as folder:
        clip = Path(os.environ.get("BENCH_CLIP", "")) if os.environ.get("BENCH_CLIP") else None
        if clip is None:
            say(f"drawing a clip of {CLIP_SECONDS} s in 1080p")
            clip = make_clip(Path(folder))
        engine = Engine.load()
        frames = list(_some_frames(clip, PEER_FRAMES))
        _stages(engine, frames, report)
        _clip(clip, engine, report)
        _peers(frames, engine, Path(folder), report)
        _memory(stack, clip, report)


def make_clip(folder: Path) -> Path:
    """The sample clip at 30 frames a second, twice as large, with the grain of a camera.

    A drawn picture alone compresses so well that decoding it would be no yardstick; here the
    encoder spends on the grain what a street would cost.
    """
    small, large = folder / "small.mp4", folder / "large.mp4"
    make_sample(small, seconds=CLIP_SECONDS, fps=FPS)
    grain = np.random.default_rng(1).normal(0, 5, (HEIGHT + 64, WIDTH + 64)).astype(np.int8)
    shifts = np.random.default_rng(2).integers(0, 64, (CLIP_SECONDS * FPS, 2)).tolist()
    source: Any
    with (
        av.open(str(small)) as source,
        av.open(str(large), "w", options={"movflags": "+faststart"}) as target,
    ):
        stream: Any = target.add_stream(
            "libx264", rate=FPS, options={"preset": "veryfast", "g": str(2 * FPS)}
        )
        stream.bit_rate = BITS_PER_SECOND
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = Fraction(1, FPS)
        for number, frame in enumerate(source.decode(video=0)):
            picture = frame.to_ndarray(format="bgr24", width=WIDTH, height=HEIGHT)
            x, y = shifts[number]
            noise = grain[y : y + HEIGHT, x : x + WIDTH, None]
            noisy = np.clip(picture.astype(np.int16) + noise, 0, 255).astype(np.uint8)
            drawn = av.VideoFrame.from_ndarray(noisy, format="bgr24")
            drawn.pts = number
            target.mux(stream.encode(drawn))
        target.mux(stream.encode())
    return large


def _some_frames(clip: Path, count: int) -> Iterator[Image]:
    """Frames spread over the clip, BGR."""
    container: Any
    with av.open(str(clip)) as container:
        total = container.streams.video[0].frames
        wanted = {round((n + 0.5) * total / count) for n in range(count)}
        for number, frame in enumerate(container.decode(video=0)):
            if number in wanted:
                yield frame.to_ndarray(format="bgr24")


def _stages(engine: Engine, frames: list[Image], report: Report) -> None:
    say("detector and reader, one thread")
    for side, size, most in ((640, (640, 384), 3), (1280, (1280, 736), 12)):
        detector = PlateDetector.load(side=side)
        picture = cv2.resize(frames[0], size, interpolation=cv2.INTER_AREA).astype(np.uint8)
        took = median_ms(lambda d=detector, p=picture: d.detect([p]), 30)  # type: ignore[misc]
        report.add(
            f"Detector, {size[0]} x {size[1]}", f"{took:.1f} ms", floor="-",
            target=f"<= {most} ms", reached=took <= most,
        )  # fmt: skip
    plates = [
        rectify(frame, found.corners)
        for frame in frames
        for found in engine.detector.detect([frame])[0]
    ]
    if not plates:
        raise SystemExit("no plate was found in the clip: name another one by BENCH_CLIP")
    crops = [plates[n % len(plates)] for n in range(8)]
    took = median_ms(lambda: engine.read(crops), 20) / len(crops)
    report.add(
        "Reader, a crop of 8", f"{took:.1f} ms", floor="-", target="<= 1.5 ms", reached=took <= 1.5
    )


def _clip(clip: Path, engine: Engine, report: Report) -> None:
    say("decoding the clip, and reading it with frame_skip 1, by turns")
    settings = Settings(_env_file=None)
    alone, whole = [], []
    texts: list[str] = []
    for _ in range(ROUNDS):
        alone.append(_fps(lambda: _decode(clip)))
        run = None

        def read() -> int:
            nonlocal run
            run = observe_file(clip, Parameters(), settings, engine)
            return run.processed_frames

        whole.append(_fps(read))
        assert run is not None
        texts = [track.text for track in run.tracks if isinstance(track, Plate)]
    decoding, reading = statistics.median(alone), statistics.median(whole)
    ratio = reading / decoding
    report.add(
        "Reading a clip of 1080p, every frame",
        f"{reading:.0f} frames/s, {ratio:.2f} of the floor; {len(texts)} plates",
        floor=f"{decoding:.0f} frames/s (one thread that only decodes)",
        target=">= 0.5 of the floor", reached=ratio >= 0.5,
    )  # fmt: skip


def _decode(clip: Path) -> int:
    container: Any
    with av.open(str(clip)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        return sum(1 for _ in container.decode(video=0))


def _fps(action: Callable[[], int]) -> float:
    started = time.perf_counter()
    count = action()
    return count / (time.perf_counter() - started)


def _peers(frames: list[Image], engine: Engine, folder: Path, report: Report) -> None:
    """Milliseconds a frame of other readers, beside ours: finding plates and reading them all."""
    labels = folder / "frames.jsonl"
    with labels.open("w") as file:
        for number, frame in enumerate(frames):
            cv2.imwrite(str(folder / f"{number}.png"), frame)
            file.write(json.dumps({"image": f"{number}.png"}) + "\n")
    ours = statistics.median(
        median_ms(lambda f=f: engine.look(f), 5)  # type: ignore[misc]
        for f in (Frame(number, 0.0, frame) for number, frame in enumerate(frames))
    )
    pythons = {"rapidocr": Path(sys.executable), "simplelpr": PEERS_PYTHON}
    for name, python in pythons.items():
        if not python.exists():
            say(f"{name} is left out: there is no {python}")
            continue
        say(f"{name} on {len(frames)} frames of the clip")
        out = folder / f"{name}.jsonl"
        command = [str(python), "-m", f"bench.peers.{name}", str(labels), str(out)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            say(f"{name} failed: {done.stderr.strip().splitlines()[-1:]}")
            continue
        lines = [json.loads(line) for line in out.read_text().splitlines()]
        took = statistics.median(line["milliseconds"]["wall"] for line in lines)
        report.add(
            f"A frame of 1080p, beside {name}", f"{ours:.1f} ms",
            floor=f"{took:.0f} ms ({name}, end to end)", target="less", reached=ours < took,
        )  # fmt: skip


def _memory(stack: Stack, clip: Path, report: Report) -> None:
    say("the clip once more, in the worker")
    with Client(stack.api_url) as client, _watched(stack.pid_of("worker-0")) as peak:
        key = client.upload_to_s3(clip)["s3_key"]
        job_id = client.process_uploaded(key, {"frame_skip": 1})["job_id"]
        for _ in client.follow(job_id):
            pass
    report.add(
        "Worker's memory (RSS) at most", f"{peak['worker'] / MB:.0f} MB",
        floor=f"{peak['idle'] / MB:.0f} MB (before the clip); "
        f"{peak['children'] / MB:.0f} MB its decoders", target="<= 600 MB",
        reached=peak["worker"] <= 600 * MB,
    )  # fmt: skip


@contextmanager
def _watched(pid: int) -> Iterator[dict[str, int]]:
    """The memory of a process and of its children together, looked at ten times a second."""
    worker = psutil.Process(pid)
    peak = {"idle": worker.memory_info().rss, "worker": 0, "children": 0}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            peak["worker"] = max(peak["worker"], worker.memory_info().rss)
            peak["children"] = max(peak["children"], sum(_sizes(worker)))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def _sizes(worker: psutil.Process) -> Iterator[int]:
    for child in worker.children():
        try:
            yield child.memory_info().rss
        except psutil.NoSuchProcess:
            continue
