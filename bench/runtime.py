"""Installs what the image installs into an empty environment, cuts it down as the image is, and
reads the sample there.

    python -m bench.runtime

Downloads some 250 MB. Prints what pruning takes out, how large the environment is before and
after, compiled Python included, and how long ``detect-api --help`` takes. Ends with status 1 if the
plates of the sample are not read.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.report import say

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "deploy" / "docker"
SAMPLE = "import sys; from detect_api.vision.sample import make_sample as m; print(*m(sys.argv[1]))"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="da-bench-") as folder:
        home = Path(folder) / "venv"
        say("installing deploy/docker/requirements.lock into an empty environment")
        run(sys.executable, "-m", "venv", str(home))
        python = str(home / "bin" / "python")
        pip = [python, "-m", "pip", "--disable-pip-version-check"]
        install = [*pip, "install", "--quiet", "--no-deps"]
        run(*install, "--require-hashes", "-r", str(DOCKER / "requirements.lock"))
        run(*install, "--no-build-isolation", str(ROOT))
        run(*pip, "uninstall", "--yes", "--quiet", "pip", "setuptools")
        before = megabytes(home)
        (packages,) = (home / "lib").glob("python*/site-packages")
        sys.stdout.write(run(python, str(DOCKER / "prune.py"), str(packages)))
        say(f"{before:.0f} MB before, {megabytes(home):.0f} MB after")
        command = str(home / "bin" / "detect-api")
        started = time.perf_counter()
        run(command, "--help")
        say(f"detect-api --help took {time.perf_counter() - started:.1f} s")
        video = str(Path(folder) / "sample.mp4")
        there = run(python, "-c", SAMPLE, video).split()
        result = json.loads(run(command, "process", "--frame-skip", "2", "--json", video))
        read = [plate["text"] for plate in result["plates"]]
        say(f"plates in the sample: {' '.join(there)}; read: {' '.join(read)}")
        if read != there:
            raise SystemExit(1)


def megabytes(folder: Path) -> float:
    """What all files in a folder hold."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir()) / 1e6


def run(*words: str) -> str:
    """What a program prints; its whole output is shown if it fails."""
    ran = subprocess.run(words, capture_output=True, text=True, check=False, timeout=900)
    if ran.returncode:
        raise SystemExit(f"{' '.join(words)}\n{ran.stdout[-2000:]}{ran.stderr[-4000:]}")
    return ran.stdout


if __name__ == "__main__":
    main()
