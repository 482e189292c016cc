"""Installs what the image installs into an empty environment, and starts the command there.

    python -m bench.runtime

Downloads some 250 MB. Prints how large the environment is and how long ``detect-api --help`` takes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.report import say

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "deploy" / "docker" / "requirements.lock"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="da-bench-") as folder:
        home = Path(folder) / "venv"
        say(f"installing {LOCK.relative_to(ROOT)} into an empty environment")
        run(sys.executable, "-m", "venv", str(home))
        pip = [str(home / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        install = [*pip, "install", "--quiet", "--no-deps"]
        run(*install, "--require-hashes", "-r", str(LOCK))
        run(*install, "--no-build-isolation", str(ROOT))
        size = sum(path.lstat().st_size for path in home.rglob("*") if not path.is_dir())
        started = time.perf_counter()
        run(str(home / "bin" / "detect-api"), "--help")
        took = time.perf_counter() - started
        say(f"{size / 1e6:.0f} MB; detect-api --help took {took:.1f} s")


def run(*words: str) -> None:
    """Runs a program; its output is shown if it fails."""
    ran = subprocess.run(words, capture_output=True, text=True, check=False, timeout=900)
    if ran.returncode:
        raise SystemExit(f"{' '.join(words)}\n{ran.stdout[-2000:]}{ran.stderr[-4000:]}")


if __name__ == "__main__":
    main()
