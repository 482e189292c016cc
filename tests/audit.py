"""``make audit``: weak spots in the code, known faults of the dependencies, secrets in the files.

What could not be looked at is said, loudly, and is no pass: the dependencies' faults are asked of a
database on the internet, which not every machine reaches.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BASELINE = ".secrets.baseline"
TIMEOUT_SECONDS = 600

# The built page is searched as its sources; models and locks are digests, line by line.
NOT_SEARCHED = re.compile(
    r"^(src/detect_api/web/static/|src/detect_api/vision/models/|\.secrets\.baseline$|.*lock(\.json)?$)"
)


def main() -> int:
    """Prints what was found; 0 if nothing was."""
    bad = [not check() for check in (weak_spots, secrets, known_faults)]
    return int(any(bad))


def weak_spots() -> bool:
    """Whether bandit has nothing to say against the service's code, medium or worse."""
    found = _run("bandit", "--quiet", "--recursive", "src", "--severity-level", "medium")
    print(found.stdout, end="")
    print(f"bandit: {'nothing found' if found.returncode == 0 else 'see above'}")
    return found.returncode == 0


def secrets() -> bool:
    """Whether no file that git knows has what looks like a secret, but for those judged before.

    Those are in ``.secrets.baseline``; a new one that is none gets there by
    ``detect-secrets scan --baseline .secrets.baseline``, or ``pragma: allowlist secret``.
    """
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    files = [name for name in names if name and not NOT_SEARCHED.match(name)]
    found = _run("detect-secrets-hook", "--baseline", BASELINE, *files)
    print(found.stdout, end="")
    print(f"secrets: {len(files)} files, {'none' if found.returncode == 0 else 'see above'}")
    return found.returncode == 0


def known_faults() -> bool:
    """Whether no locked dependency has a known fault, as far as a database could be asked."""
    found = _run(
        "pip-audit", "--requirement", "requirements.lock", "--disable-pip", "--require-hashes",
        "--format", "json", "--progress-spinner", "off",
    )  # fmt: skip
    try:
        packages: list[dict[str, Any]] = json.loads(found.stdout)["dependencies"]
    except (ValueError, KeyError):
        _not_checked("no database of faults answers", found.stderr)
        return True
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    faulty = [package for package in packages if package.get("vulns")]
    for package in faulty:
        for fault in package["vulns"]:
            fixed = ", ".join(fault["fix_versions"]) or "no version yet"
            print(f"{package['name']} {package['version']}: {fault['id']}, mended in {fixed}")
    if skipped:
        _not_checked(f"{len(skipped)} of {len(packages)} dependencies", "")
    print(f"dependencies: {len(packages) - len(skipped)} checked, {len(faulty)} with known faults")
    return not faulty


def _not_checked(what: str, why: str) -> None:
    print(why[-600:], end="")
    print(f"NOT CHECKED for known faults: {what}. Run make audit where the internet is reachable.")


def _run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [Path(sys.executable).with_name(program), *arguments],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess([program], 124, "", f"{program} did not end.\n")


if __name__ == "__main__":
    sys.exit(main())
