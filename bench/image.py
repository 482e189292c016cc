"""Builds the image without Docker, runs API and worker out of it, and reads the sample with them.

    python -m bench.image [--folder FOLDER] [--volume HERE:THERE:ro …]

For a Linux machine where you are root, with Debian's packages debootstrap, buildah, podman and
runc. No registry of images is asked: a Debian with the same Python, made by debootstrap, stands in
for the base image that the Dockerfile names. ``--volume`` shows a file to the build only (a
``pip.conf`` and certificates, say). PostgreSQL and SeaweedFS are those of this environment, on
loopback.

The containers get what deploy/docker/compose.yaml gives them: a read-only root, no capabilities, no
new privileges, /tmp and /data to write to. A worker is stopped in the middle of a segment, another
one goes on. Prints sizes and times; ends with status 1 if anything is not as it should be.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.report import say
from detect_api.client import Client
from detect_api.core.config import Settings
from detect_api.local.stack import Stack, as_environment
from detect_api.vision.sample import make_sample

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
PROGRAMS = ("debootstrap", "buildah", "podman", "runc")
DEBIAN, PYTHON = "trixie", "3.13"
"""The Debian that stands in for the base image, and its Python."""
BASE = f"python:{PYTHON}-slim"
IMAGE = "detect-api:tried"
PASSED_ON = re.compile(r"DATABASE_URL|ENABLE_S3|AWS_.*|S3_(BUCKET|ENDPOINT|VIDEO).*")
PATIENCE_SECONDS = 180.0


class Images:
    """Images and containers in a folder of their own; nothing of the machine's is touched."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._where = [
            "--root", str(folder / "images"), "--runroot", str(folder / "run"),
            "--storage-driver", "vfs",
        ]  # fmt: skip
        (folder / "tmp").mkdir(parents=True, exist_ok=True)

    def buildah(self, *words: str) -> str:
        return self._run("buildah", *self._where, *words)

    def podman(self, *words: str) -> str:
        return self._run(*self.command(*words))

    def command(self, *words: str) -> list[str]:
        return ["podman", *self._where, "--cgroup-manager=cgroupfs", "--runtime=runc", *words]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "TMPDIR": str(self._folder / "tmp")}

    def _run(self, *words: str) -> str:
        ran = subprocess.run(
            words, capture_output=True, text=True, check=False, timeout=1800, cwd=ROOT,
            env=self.environment(),
        )  # fmt: skip
        if ran.returncode:
            raise SystemExit(f"{' '.join(words)}\n{ran.stdout[-2000:]}{ran.stderr[-4000:]}")
        return ran.stdout

    def make_base(self) -> None:
        """A Debian that has what the base image has: Python with venv, certificates, time zones."""
        say(f"making a Debian {DEBIAN} that stands in for {BASE}")
        root = self._folder / "base"
        packages = "ca-certificates,python3,python3-venv,tzdata"
        self._run("debootstrap", "--variant=minbase", f"--include={packages}", DEBIAN, str(root))
        for name in ("python", "python3"):
            (root / "usr/local/bin" / name).symlink_to(f"/usr/bin/python{PYTHON}")
        for rest in ("var/cache/apt", "var/lib/apt/lists"):
            shutil.rmtree(root / rest)
        tar = self._folder / "base.tar"
        self._run("tar", "-C", str(root), "-cf", str(tar), ".")
        self.podman("import", str(tar), BASE)
        tar.unlink()
        shutil.rmtree(root)

    def build(self, volumes: list[str]) -> None:
        say("building deploy/docker/Dockerfile")
        shown = [word for volume in volumes for word in ("--volume", volume)]
        printed = self.buildah(
            "bud", "--isolation", "chroot", "--pull-never", *shown, "-f", str(DOCKERFILE),
            "-t", IMAGE, ".",
        )  # fmt: skip
        less = re.findall(r"^ *([\d.]+) MB  less$", printed, re.M)
        say(f"pruning took {less[0]} MB out")

    def size(self, name: str) -> str:
        return self.buildah("images", "--format", "{{.Size}}", name).strip()

    @contextmanager
    def container(self, name: str, settings: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
        """A container as compose.yaml runs them, killed at the end if it still runs."""
        limits = [f"--ulimit={name}=4096:4096" for name in ("nofile", "nproc")]
        process = subprocess.Popen(
            self.command(
                "run", "--rm", "--name", name, "--network=host", "--env-file", str(settings),
                "--read-only", "--read-only-tmpfs=false", "--cap-drop=ALL", *limits,
                "--security-opt=no-new-privileges", "--tmpfs=/tmp:size=512m,mode=1777",
                "--tmpfs=/data:size=1g,mode=1777", IMAGE, *words,
            ),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.environment(),
        )  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                self.podman("kill", name)
                process.communicate(timeout=30)

    def ends_well(self, name: str, process: subprocess.Popen[str], seconds: int) -> None:
        """Stops a container with SIGTERM; its status has to be 0."""
        started = time.monotonic()
        self.podman("stop", "--time", str(seconds), name)
        printed, _ = process.communicate(timeout=60)
        say(f"{name} ended {time.monotonic() - started:.1f} s after SIGTERM")
        must(process.returncode == 0, f"{name} ended with {process.returncode}\n{printed[-3000:]}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.image", description=__doc__)
    parser.add_argument("--folder", type=Path, help="keep images there, for the next time")
    parser.add_argument("--volume", action="append", default=[], help="shown to the build")
    chosen = parser.parse_args()
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    must(not missing and os.geteuid() == 0, f"This needs root and {', '.join(PROGRAMS)}.")
    must(f"ARG PYTHON={PYTHON}\n" in DOCKERFILE.read_text(), "The Dockerfile has another Python.")
    with tempfile.TemporaryDirectory(prefix="da-image-", dir="/var/tmp") as temporary:
        folder = (chosen.folder or Path(temporary)).absolute()
        images = Images(folder)
        if BASE not in images.buildah("images", "--format", "{{.Name}}:{{.Tag}}"):
            images.make_base()
        images.build(chosen.volume)
        say(f"the image has {images.size(IMAGE)}, {images.size(BASE)} of it from the base")
        settings = Settings(_env_file=None, data_dir=Path(temporary) / "data")
        with Stack(settings, api=False).running() as stack:
            try_out(images, stack, Path(temporary))
    say("all as it should be")


def try_out(images: Images, stack: Stack, folder: Path) -> None:
    """API and worker in containers read the sample; a worker stops, another one goes on."""
    port, metrics = free_port(), free_port()
    values = {k: v for k, v in as_environment(stack.settings).items() if PASSED_ON.fullmatch(k)}
    values |= {"HOST": "127.0.0.1", "PORT": str(port), "WORKER_METRICS_PORT": str(metrics)}
    file = folder / "settings.env"
    file.touch(0o600)
    file.write_text("".join(f"{name}={value}\n" for name, value in values.items() if value))
    with images.container("keys", file, "keys", "create", "trial", "--json",
                          "--scopes", "upload,read,admin") as keys:  # fmt: skip
        printed, _ = keys.communicate(timeout=PATIENCE_SECONDS)
        must(keys.returncode == 0, printed)
    key = json.loads(printed.splitlines()[-1])["key"]
    short, long = folder / "short.mp4", folder / "long.mp4"
    texts, later = make_sample(short), make_sample(long, seconds=40)
    url = f"http://127.0.0.1:{port}"
    started = time.monotonic()
    with (
        images.container("api", file, "serve") as api,
        Client(url, key=key) as client,
    ):
        with images.container("worker-0", file, "worker") as worker:
            answers(f"{url}/ready?workers=false")
            say(f"the API was ready after {time.monotonic() - started:.1f} s")
            answers(f"http://127.0.0.1:{metrics}/ready")
            say(f"the worker was ready after {time.monotonic() - started:.1f} s")
            for name in ("api", "worker-0"):
                confined(images, name)
            started = time.monotonic()
            job = client.process(short, {"frame_skip": 2})["job_id"]
            read_all(client, job, texts)
            say(f"{len(texts)} of {len(texts)} plates after {time.monotonic() - started:.1f} s")
            picture = client.picture(client.result(job)["plates"][0]["crop_url"])
            must(picture.startswith(b"\xff\xd8\xff"), "no picture")
            job = client.process(long)["job_id"]
            until(lambda: client.job(job)["frames"]["done"] > 0, "the long video to be read")
            images.ends_well("worker-0", worker, 40)
        must(client.job(job)["status"] == "processing", "the worker ended before the video")
        with images.container("worker-1", file, "worker") as worker:
            read_all(client, job, later)
            say(f"{len(later)} of {len(later)} plates after another worker went on")
            images.ends_well("worker-1", worker, 40)
        images.ends_well("api", api, 30)


def confined(images: Images, name: str) -> None:
    """The container runs as 10001, can do nothing, and writes to /tmp and /data only."""
    code = (
        "for folder in / /opt/detect-api /usr /etc; do touch $folder/x 2>/dev/null && exit 1; done;"
        "touch /tmp/x /data/x && id -u && grep -E 'CapEff|NoNewPrivs' /proc/1/status"
    )
    told = images.podman("exec", name, "sh", "-c", code).split()
    wanted = ["10001", "CapEff:", "0000000000000000", "NoNewPrivs:", "1"]
    must(told == wanted, f"{name}: {told}")


def read_all(client: Client, job_id: str, texts: list[str]) -> None:
    """Waits for the end of a job, whose plates have to be these."""
    for _ in client.follow(job_id):
        pass
    job = client.job(job_id)
    must(job["status"] == "completed", str(job))
    read = [plate["text"] for plate in client.result(job_id)["plates"]]
    must(read == texts, f"{read} instead of {texts}")


def answers(url: str) -> None:
    """Waits until there is a good answer."""

    def good() -> bool:
        with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    until(good, url)


def until(good: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not good():
        must(time.monotonic() < end, f"waited {PATIENCE_SECONDS:.0f} s for {what}")
        time.sleep(0.1)


def must(good: bool, sentence: str) -> None:
    if not good:
        raise SystemExit(sentence)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


if __name__ == "__main__":
    main()
