"""Log lines: several processes in one file, and what clients may not put into them."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import structlog

from detect_api.core import logging as logs
from detect_api.core.config import Settings

WRITERS, LINES = 4, 2500
WRITER = """
import logging, sys
from pathlib import Path
from detect_api.core.logging import SharedFile
log = logging.getLogger()
log.addHandler(SharedFile(Path(sys.argv[1]), 400_000))
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[3])):
    log.warning("%s %05d %s", sys.argv[2], number, "x" * (12_000 if number % 250 == 0 else 80))
"""


def test_several_processes_write_one_file_and_no_line_is_lost_or_mixed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(name), str(LINES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for name in range(WRITERS)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
    for writer in writers:  # all at once
        assert writer.stdin is not None
        writer.stdin.write(b"now\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=120)
        assert writer.returncode == 0
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["log", "log.1", "log.2", "log.3"]
    lines = [line.split(" ") for file in files for line in file.read_text().splitlines()]
    found = Counter((line[0], line[1]) for line in lines)
    assert found == {(str(w), f"{n:05d}"): 1 for w in range(WRITERS) for n in range(LINES)}
    assert all(set(line[2]) == {"x"} for line in lines)


@pytest.fixture
def root() -> object:
    """The root logger as it was, afterwards."""
    logger = logging.getLogger()
    handlers, level = logger.handlers, logger.level
    yield logger
    logger.handlers, logger.level = handlers, level
    structlog.reset_defaults()


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("style", ["console", "json"])
def test_what_clients_say_neither_makes_lines_nor_steers_a_terminal(
    style: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    logs.configure_logging(Settings(_env_file=None, log_format=style))
    structlog.get_logger("test").warning(
        "request", job_id="\x1b[2J\x9b1A\x07", other="a\nb\r\u2028c\x85d"
    )
    (line,) = written.getvalue().splitlines()
    assert not any(char in line for char in "\x1b\x9b\x07\r")
    if style == "json":
        assert json.loads(line)["other"] == "a\nb\r\u2028c\x85d"
