"""The browser that the page is tried in: Debian's chromium, installed when it can be.

``python -m tests.page.tools`` installs it; ``make test`` calls that before the tests start, so
that no test waits for a package.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_INSTALL_SECONDS = 600

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""For a browser that runs as root, draws nothing on a screen and has no network."""


def browser() -> str | None:
    """Path of a browser that Playwright can drive."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


def why_not() -> str | None:
    """Why the page cannot be tried here, and what to do; None if it can."""
    if browser() is None:
        return "no chromium is installed: apt-get install chromium, then run this again"
    return None


def install() -> str:
    """Installs chromium if that is possible; says what happened."""
    if (found := browser()) is not None:
        return f"The page is tried in {found}."
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        return "The page is not tried in a browser: install chromium (this needs apt-get and root)."
    lock = Path(tempfile.gettempdir()) / "detect-api-chromium.lock"
    with lock.open("w") as held:
        # Two test runs at once: the second waits for the first one's package.
        fcntl.flock(held, fcntl.LOCK_EX)
        if browser() is None:
            print("Installing chromium to try the page in (once)", flush=True)
            failed = _apt()
            if failed:
                return f"The page is not tried in a browser: chromium was not installed ({failed})."
    return f"The page is tried in {browser()}."


def _apt() -> str | None:
    """Installs the package; what went wrong, or None."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "--yes", "--no-install-recommends", "-qq", "chromium"]
    wait = ["-o", "DPkg::Lock::Timeout=300"]
    for command in (install, ["apt-get", "update", "-qq"], install):
        try:
            done = subprocess.run(
                [command[0], *wait, *command[1:]],
                env=environment, capture_output=True, text=True, timeout=_INSTALL_SECONDS,
                check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"'{' '.join(command)}' took longer than {_INSTALL_SECONDS} s"
        if done.returncode == 0 and browser() is not None:
            return None
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"apt-get ended with {done.returncode}"


if __name__ == "__main__":
    print(install())
    sys.exit(0)
