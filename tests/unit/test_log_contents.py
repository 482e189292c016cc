"""What the log holds, and what it must never hold. Each case has a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from detect_api.core.config import MIB

PROGRAM = """
import sys
from pathlib import Path
import structlog
from detect_api.core.config import Settings
from detect_api.core.logging import configure_logging
configure_logging(Settings(_env_file=None, log_format="json", log_file=Path(sys.argv[1])))
log = structlog.get_logger("here")
"""


def written(file: Path, lines: str) -> str:
    """Runs these lines with a log; what came out on standard error."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM + lines, str(file)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stderr


SECRETS = [
    "https://b.s3.eu-west-1.amazonaws.com/k?X-Amz-Signature=SECRET&x=1",
    "https://b.s3.eu-west-1.amazonaws.com/k?X-Amz-Security-Token=SECRET",
    "https://b.s3.eu-west-1.amazonaws.com/k?X-Amz-Credential=SECRET",
    "https://d1.cloudfront.net/k?Expires=1&Signature=SECRET",
    "https://h/process?token=SECRET",
    "postgresql://detect_api:SECRET@database:5432/x",  # pragma: allowlist secret
    "Authorization: Bearer SECRET",
    "Authorization: Basic SECRET",
]


@pytest.mark.parametrize("text", SECRETS)
def test_no_secret_of_a_url_or_a_header_is_logged(text: str, tmp_path: Path) -> None:
    file = tmp_path / "log"
    printed = written(
        file,
        f"log.warning('failed', detail={text!r})\n"
        f"try: raise ValueError({text!r})\n"
        "except ValueError: log.exception('broken')\n"
        f"import logging; logging.getLogger('lib').warning('of a library: %s', {text!r})",
    )
    for out in (printed, file.read_text()):
        lines = [json.loads(line) for line in out.splitlines()]
        assert [line["event"].split(":")[0] for line in lines] == [
            "failed",
            "broken",
            "of a library",
        ]
        assert "SECRET" not in out
        assert out.count("[redacted]") >= 3


def test_the_file_of_the_log_is_rotated_and_bounded(tmp_path: Path) -> None:
    file = tmp_path / "log"
    written(file, f"for _ in range(110): log.info('line', text='x' * {MIB})")
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == ["log", "log.1", "log.2", "log.3", "log.4"]
    assert all(path.stat().st_size <= 20 * MIB for path in files)
    for line in file.read_text().splitlines():
        assert json.loads(line)["event"] == "line"
