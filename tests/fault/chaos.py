"""Rounds of uploads and faults at random, and what must be true after each of them.

``python -m tests.fault.chaos --seed 7 --rounds 200`` (``make chaos``). A round uploads a video or
two, each by a way chosen at random, while up to three faults do their harm. Then everything works
again, and:

- every upload that was acknowledged is in storage, whole, and was read;
- every job has ended, and there is exactly one that read each video;
- its result is the undisturbed one;
- storage has nothing that no job stands for, and no parts of uploads that have ended;
- no decoder is left over, and no process has more files open than it began with.

A round that fails is printed with its seed, and the logs stay. The faults of a round follow from
the seed alone; when exactly they strike what, of course, does not.
"""

from __future__ import annotations

import argparse
import faulthandler
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from detect_api.client import Client, ClientError, Patience
from detect_api.client.options import Method
from detect_api.vision.sample import make_sample
from tests.fault import checks, faults
from tests.fault.world import World, make_world
from tests.processing import EVERY_OTHER, essence, read_locally

METHODS: tuple[Method, ...] = get_args(Method)
PADDING = 17 * 2**20
"""With so many bytes behind the video it goes in three parts."""

UPLOAD_SECONDS = 120.0
END_SECONDS = 150.0
_PATIENCE = Patience(tries=20, most_seconds=2.0)


@dataclass(frozen=True)
class Video:
    """A file and what is read in it when nobody disturbs."""

    path: Path
    essence: dict[str, Any]


@dataclass
class Round:
    """One round: what it did, what came of it."""

    number: int
    seed: int
    did: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    acknowledged: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        words = "; ".join(self.did)
        state = "ok" if not self.broken else "BROKEN"
        return f"round {self.number} (seed {self.seed}) {state} {self.seconds:.1f} s: {words}"


class Chaos:
    """Plays rounds in a world."""

    def __init__(self, world: World, videos: list[Video], seed: int, number: int = 0) -> None:
        self.world = world
        self.videos = videos
        self.seed = seed
        self.number = number
        self._files: dict[int, checks.OpenFiles] = {}
        checks.await_ready(world)
        checks.watch_files(world, self._files)

    def play(self, chosen: tuple[faults.Fault, ...] | None = None) -> Round:
        """The next round; with ``chosen`` these faults, all of them."""
        done = Round(self.number, self.seed)
        rng = random.Random(f"{self.seed}:{self.number}")
        self.number += 1
        begun = time.monotonic()
        try:
            self._play(done, rng, chosen)
        except AssertionError as error:
            done.broken.append(str(error) or traceback.format_exc())
        done.seconds = time.monotonic() - begun
        return done

    def _play(
        self, done: Round, rng: random.Random, chosen: tuple[faults.Fault, ...] | None
    ) -> None:
        harm = chosen or tuple(rng.choice(faults.ALL) for _ in range(rng.randrange(1, 4)))
        starts = [rng.uniform(0, 4) for _ in harm]
        seeds = [rng.random() for _ in harm]
        uploads = [
            (rng.choice(METHODS), rng.choice(self.videos)) for _ in range(rng.choice((1, 1, 2)))
        ]

        def strike(index: int) -> str:
            time.sleep(starts[index])
            return harm[index](self.world, random.Random(seeds[index]))

        over = threading.Event()
        with ThreadPoolExecutor(8) as pool:
            sent = [pool.submit(self._upload, *upload, over) for upload in uploads]
            struck = [pool.submit(strike, index) for index in range(len(harm))]
            done.did += [future.result() for future in struck]
            over.set()
            jobs = [future.result() for future in sent]
        done.did += [f"{method} of {video.path.name}" for method, video in uploads]
        done.acknowledged = len(jobs)
        self._check(jobs, [video for _, video in uploads])

    def _upload(self, method: Method, video: Video, over: threading.Event) -> str:
        """Uploads as a stubborn person would, and has it read; returns the job's id."""
        with tempfile.TemporaryDirectory(dir=self.world.folder) as state:
            until = time.monotonic() + UPLOAD_SECONDS
            while True:
                with Client(self.world.service.api_url, state=Path(state)) as client:
                    try:
                        return client.upload(
                            video.path, EVERY_OTHER, method=method, patience=_PATIENCE
                        ).job_id
                    except ClientError as error:
                        # While things break, they may be answered in any way; later they work.
                        calm = over.is_set()
                        assert time.monotonic() < until, f"{method} failed for good: {error!r}"
                        assert not (calm and error.refused), f"{method} was refused: {error!r}"
                time.sleep(0.3)

    def _check(self, jobs: list[str], videos: list[Video]) -> None:
        world = self.world
        checks.await_ready(world)
        for job_id, video in zip(jobs, videos, strict=True):
            with Client(world.service.api_url) as client:
                job = checks.ended(client, job_id, END_SECONDS)
                assert job["status"] == "completed", f"an acknowledged upload was lost: {job}"
                found = essence(client.result(job_id))
                assert found == video.essence, f"another result of {job_id}: {job}: {found}"
            checks.stored_whole(world, job["s3_key"], video.path.stat().st_size)
            checks.read_once(world, job["s3_key"])
        checks.delete_what_has_ended(world, END_SECONDS)
        checks.nothing_without_a_job(world, 60.0)
        checks.no_decoder_left(world, 30.0)
        checks.watch_files(world, self._files)


def make_videos(folder: Path) -> list[Video]:
    """A short clip as it is, and with so much behind it that it goes in parts."""
    short, long = folder / "short.mp4", folder / "long.mp4"
    make_sample(short, seconds=4)
    size = PADDING + 8
    long.write_bytes(short.read_bytes() + size.to_bytes(4, "big") + b"free" + bytes(PADDING))
    return [
        Video(path, essence(read_locally(path, 100.0, **EVERY_OTHER))) for path in (short, long)
    ]


def main() -> int:
    """Plays the rounds; 0 if nothing was broken in any."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="another one each time by default")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="number of the first round")
    parser.add_argument("--minutes", type=float, default=None, help="no new round after so long")
    parser.add_argument("--keep-going", action="store_true", help="also after a broken round")
    chosen = parser.parse_args()
    faulthandler.enable()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # through the clean-up, as Ctrl-C goes
    seed = chosen.seed if chosen.seed is not None else random.SystemRandom().randrange(10**6)
    folder = Path(tempfile.mkdtemp(prefix="da-chaos-"))
    print(f"seed {seed}, {chosen.rounds} rounds; logs under {folder}", flush=True)
    ends = time.monotonic() + 60 * chosen.minutes if chosen.minutes else float("inf")
    rounds: list[Round] = []
    with make_world(folder, random.Random(seed)) as world:
        chaos = Chaos(world, make_videos(folder), seed, chosen.first)
        for _ in range(chosen.rounds):
            if time.monotonic() > ends:
                print("The time is over.")
                break
            played = chaos.play()
            rounds.append(played)
            print(played, flush=True)
            if played.broken:
                print("\n".join(played.broken), flush=True)
                keep_logs(world, folder / f"round-{played.number}")
                if not chosen.keep_going:
                    break
        print(f"{world.unknown_uploads} empty uploads in parts were left to the sweep for orphans")
    return tell(rounds, folder)


def keep_logs(world: World, into: Path) -> None:
    """Copies what all parts have written."""
    for name, stack in (("servers", world.servers), ("service", world.service)):
        shutil.copytree(stack.layout.logs, into / name, dirs_exist_ok=True)


def tell(rounds: list[Round], folder: Path) -> int:
    """Prints the sum of it; 0 if no round was broken. Without one the files go."""
    broken = [played for played in rounds if played.broken]
    uploads = sum(played.acknowledged for played in rounds)
    seconds = sorted(played.seconds for played in rounds)
    middle = seconds[len(seconds) // 2] if seconds else 0.0
    print(
        f"{len(rounds)} rounds, {sum(len(p.did) - p.acknowledged for p in rounds)} faults, "
        f"{uploads} uploads acknowledged; median {middle:.1f} s a round; {len(broken)} broken"
    )
    for played in broken:
        print(f"broken: --seed {played.seed} --first {played.number} --rounds 1")
    if broken:
        print(f"logs: {folder}")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
