"""The embedded stack: its parts come up, come back with their data, and leave nothing behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
import psycopg
import pytest

from detect_api.core.config import Settings
from detect_api.local.layout import AlreadyRunning, StackError
from detect_api.local.processes import MARK
from detect_api.local.stack import Programs, Stack, fetch
from detect_api.local.supervisor import (
    FIRST_DELAY,
    GIVE_UP_AFTER,
    SLOW_DELAY,
    restart_delay,
)
from tests.conftest import make_settings, short_folder

SERVE = [sys.executable, "-c", "from detect_api.cli import main; main()", "serve", "--port", "0"]
# A worker that will not stop, and has a child that outlives it.
STUBBORN = (
    "import signal, subprocess, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "subprocess.Popen(['sleep', '4321']); time.sleep(600)"
)


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        yield path


def servers(folder: Path) -> Stack:
    """PostgreSQL and S3 alone."""
    return Stack(make_settings(data_dir=folder), api=False)


def only_database(folder: Path) -> Stack:
    return Stack(make_settings(data_dir=folder, enable_s3=False), api=False)


def remember(database_url: str, value: int) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (value int)")
        connection.execute("INSERT INTO kept VALUES (%s)", (value,))


def remembered(database_url: str) -> list[int]:
    with psycopg.connect(database_url) as connection:
        return [row[0] for row in connection.execute("SELECT value FROM kept ORDER BY 1")]


def put(settings: Settings, key: str, body: bytes) -> None:
    with s3_client(settings) as client:
        client.put_object(Bucket=settings.s3_bucket_name, Key=key, Body=body)


def get(settings: Settings, key: str) -> bytes:
    with s3_client(settings) as client:
        body: bytes = client.get_object(Bucket=settings.s3_bucket_name, Key=key)["Body"].read()
        return body


@contextlib.contextmanager
def s3_client(settings: Settings) -> Iterator[Any]:
    assert settings.aws_secret_access_key
    client = boto3.client(
        "s3",
        endpoint_url=settings.s3_endpoint_url,
        region_name=settings.aws_region,
        aws_access_key_id=settings.aws_access_key_id,
        aws_secret_access_key=settings.aws_secret_access_key.get_secret_value(),
    )
    try:
        yield client
    finally:
        client.close()


def processes_of(stack_id_or_folder: str) -> list[int]:
    """Live processes that belong to a stack: by their mark, or working in its folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            marked = process.environ().get(MARK) == stack_id_or_folder
            if marked or process.cwd().startswith(stack_id_or_folder):
                found.append(process.pid)
    return found


def stack_id(folder: Path) -> str:
    match = re.search(r'"stack_id": "(\w+)"', (folder / "credentials.json").read_text())
    assert match
    return match[1]


def wait_until(condition: object, seconds: float = 60.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def start_serve(folder: Path, *options: str) -> tuple[subprocess.Popen[str], str]:
    """``detect-api serve`` as in a terminal, and the URL that it announces."""
    # Tests that run behind a shell's & inherit that Ctrl-C is ignored, and so would this.
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            [*SERVE, "--data-dir", str(folder), *options],
            stdout=subprocess.PIPE,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, inherited)
    assert process.stdout
    for line in process.stdout:
        if match := re.search(r"ready at (http://\S+)", line):
            return process, match[1]
    process.communicate(timeout=10)
    raise AssertionError("serve ended before it was ready")


def test_a_second_start_finds_everything_under_the_same_addresses(folder: Path) -> None:
    first = servers(folder)
    with first.running():
        remember(first.database_url, 1)
        put(first.settings, "videos/a", b"hello")
    assert processes_of(str(folder)) == []
    second = servers(folder)
    with second.running():
        assert remembered(second.database_url) == [1]
        assert get(second.settings, "videos/a") == b"hello"
        assert second.database_url == first.database_url
        assert second.settings.s3_endpoint_url == first.settings.s3_endpoint_url


def test_a_port_that_somebody_else_took_is_replaced_and_the_data_are_still_there(
    folder: Path,
) -> None:
    first = servers(folder)
    first.start()
    remember(first.database_url, 1)
    put(first.settings, "videos/a", b"hello")
    first.stop(fast=True)
    with contextlib.ExitStack() as taken:
        for url in (first.database_url, first.settings.s3_endpoint_url or ""):
            match = re.search(r"127\.0\.0\.1:(\d+)", url)
            assert match
            other = taken.enter_context(socket.socket())
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", int(match[1])))
            other.listen(1)
        second = servers(folder)
        second.start()
        assert second.settings.s3_endpoint_url != first.settings.s3_endpoint_url
        assert remembered(second.database_url) == [1]
        assert get(second.settings, "videos/a") == b"hello"
        second.stop(fast=True)


def test_lost_credentials_are_made_anew(folder: Path) -> None:
    first = only_database(folder)
    with first.running():
        remember(first.database_url, 1)
        assert stat.S_IMODE((folder / "credentials.json").stat().st_mode) == 0o600
    (folder / "credentials.json").unlink()
    second = only_database(folder)
    with second.running():
        assert remembered(second.database_url) == [1]


def test_the_service_role_can_make_the_extensions_but_is_no_superuser(folder: Path) -> None:
    stack = only_database(folder)
    with stack.running(), psycopg.connect(stack.database_url) as connection:
        connection.execute("CREATE EXTENSION pg_trgm")
        connection.execute("CREATE EXTENSION fuzzystrmatch")
        row = connection.execute(
            "SELECT rolsuper, current_setting('fsync'), current_setting('synchronous_commit')"
            " FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
    assert row == (False, "on", "on")


def test_a_pid_file_whose_pid_is_somebody_elses_by_now_does_no_harm(folder: Path) -> None:
    stack = only_database(folder)
    with stack.running():
        pid_file = folder / "postgres" / "data" / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
    with subprocess.Popen(["sleep", "60"]) as innocent:
        pid_file.write_text("\n".join([str(innocent.pid), *lines[1:]]) + "\n")
        with only_database(folder).running():
            assert innocent.poll() is None
        innocent.kill()


def test_every_part_that_is_killed_comes_back_with_its_data(stack: Stack) -> None:
    remember(stack.database_url, 7)
    put(stack.settings, "videos/kept", b"kept")
    for name in ("postgres", "storage", "api", "worker-0"):
        before, old = stack.supervisor.restarts_of(name), stack.pid_of(name)
        os.kill(old, signal.SIGKILL)
        stack.supervisor.wait_restarted(name, before)
        assert stack.pid_of(name) != old
        wait_until(lambda: fetch(f"{stack.api_url}/ready")[0] == 200, 120)
    assert 7 in remembered(stack.database_url)
    assert get(stack.settings, "videos/kept") == b"kept"


def test_a_request_waits_while_the_api_is_started_again(stack: Stack) -> None:
    before = stack.supervisor.restarts_of("api")
    os.kill(stack.pid_of("api"), signal.SIGKILL)
    time.sleep(0.05)
    status, _ = fetch(f"{stack.api_url}/health", timeout=20)
    assert status == 200
    stack.supervisor.wait_restarted("api", before)


def test_no_secret_shows_in_the_list_of_processes(stack: Stack) -> None:
    settings = stack.settings
    assert settings.aws_secret_access_key
    secrets = [
        settings.aws_secret_access_key.get_secret_value(),
        stack.database_url.split(":")[2].split("@")[0],
    ]
    for name in stack.supervisor.names():
        if name != "migrations":
            shown = " ".join(psutil.Process(stack.pid_of(name)).cmdline())
            assert shown
            assert not [secret for secret in secrets if secret in shown]


def test_serve_refuses_a_second_one_and_ctrl_c_leaves_nothing(folder: Path) -> None:
    process, url = start_serve(folder)
    try:
        with pytest.raises(AlreadyRunning, match=rf"process {process.pid}\b"):
            servers(folder).start()
        second = subprocess.run(
            [*SERVE, "--data-dir", str(folder)],
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert second.returncode == 1
        assert f"process {process.pid}" in second.stderr
        with short_folder() as elsewhere:
            port = url.rsplit(":", 1)[1]
            other = subprocess.run(
                [*SERVE, "--port", port, "--data-dir", str(elsewhere)],
                capture_output=True, text=True, timeout=30, check=False,
            )  # fmt: skip
            assert other.returncode == 1
            assert f"port {port}" in other.stderr
        assert fetch(f"{url}/health")[0] == 200
    finally:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=40)
    assert process.returncode == 0, output
    assert processes_of(stack_id(folder)) == []
    assert processes_of(str(folder)) == []
    assert list((folder / "tmp").iterdir()) == []


def test_a_killed_serve_takes_its_children_along_and_the_next_one_starts(folder: Path) -> None:
    process, _ = start_serve(folder, "--workers", "0")
    mark = stack_id(folder)
    assert processes_of(mark)
    process.kill()
    process.communicate(timeout=10)
    again = servers(folder)
    with again.running():
        remember(again.database_url, 1)
        wait_until(lambda: len(processes_of(mark)) == 1)  # the new storage
    assert processes_of(mark) == []


def test_only_what_the_settings_leave_open_is_brought_along(
    folder: Path, database_url: str
) -> None:
    settings = make_settings(
        data_dir=folder, enable_s3=False, database_url=database_url, port=0, workers=0
    )
    stack = Stack(settings)
    assert settings.storage_mode == "directory"
    with stack.running():
        assert stack.supervisor.names() == ["migrations", "api"]
        assert fetch(f"{stack.api_url}/health")[0] == 200


def test_everything_listens_on_loopback_alone(stack: Stack) -> None:
    names = stack.supervisor.names()
    assert {"postgres", "storage", "api"} <= set(names)
    for name in ("postgres", "storage", "api", "worker-0"):
        process = psutil.Process(stack.pid_of(name))
        heard = [
            connection.laddr.ip
            for each in (process, *process.children(recursive=True))
            for connection in each.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert set(heard) <= {"127.0.0.1", "::1"}, name
        assert heard or name == "worker-0", name


def test_the_folder_of_the_data_holds_what_the_readme_says(stack: Stack) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    table = readme.partition("| in the folder |")[2].partition("\n\n")[0]
    described = {name.rstrip("/") for name in re.findall(r"`([\w./]+)`", table)}
    there = {path.name for path in stack.layout.root.iterdir()}
    assert {"postgres", "s3", "logs", "credentials.json"} <= there <= described
    assert stat.S_IMODE(stack.layout.credentials.stat().st_mode) == 0o600


TELLS_ITS_PORT = """
import os, signal
from pathlib import Path
Path(os.environ["DATA_DIR"], "port-" + os.environ["WORKER_METRICS_PORT"]).touch()
signal.pause()
"""


def test_each_worker_tells_its_metrics_on_a_port_of_its_own(
    folder: Path, database_url: str
) -> None:
    settings = make_settings(
        data_dir=folder, enable_s3=False, database_url=database_url, port=0, workers=2,
        worker_metrics_port=9100,
    )  # fmt: skip
    stack = Stack(settings, programs=Programs(worker=(sys.executable, "-c", TELLS_ITS_PORT)))
    stack._await_ready = lambda seconds: None  # type: ignore[method-assign]
    with stack.running():
        wait_until(lambda: len(list(folder.glob("port-*"))) == 2)
    assert sorted(path.name for path in folder.glob("port-*")) == ["port-9100", "port-9101"]


def test_a_worker_that_cannot_start_fails_the_start_with_its_last_words(
    folder: Path, database_url: str
) -> None:
    settings = make_settings(data_dir=folder, enable_s3=False, database_url=database_url, port=0)
    broken = (sys.executable, "-c", "raise SystemExit('no model here')")
    stack = Stack(settings, programs=Programs(worker=broken))
    with pytest.raises(StackError, match="no model here"):
        stack.start()
    assert not stack.alive
    assert processes_of(stack_id(folder)) == []


def test_a_stubborn_worker_and_its_children_are_ended_when_there_is_a_hurry(
    folder: Path, database_url: str
) -> None:
    settings = make_settings(
        data_dir=folder, enable_s3=False, database_url=database_url, port=0, workers=1
    )
    stack = Stack(settings, programs=Programs(worker=(sys.executable, "-c", STUBBORN)))
    stack._await_ready = lambda seconds: None  # type: ignore[method-assign]
    stack.start()
    try:
        mark = stack_id(folder)
        before = stack.supervisor.restarts_of("worker-0")
        os.kill(stack.pid_of("worker-0"), signal.SIGKILL)
        stack.supervisor.wait_restarted("worker-0", before)
        assert len(processes_of(mark)) == 3  # API, worker and the worker's child; no older one
        asked = time.monotonic()
        threading.Timer(0.5, stack.hurry).start()
    finally:
        stack.stop()
    assert time.monotonic() - asked < 8
    assert processes_of(mark) == []


def test_a_data_directory_that_cannot_be_used_says_so(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(StackError, match="DATA_DIR"):
        servers(folder / "file").start()


def test_restarts_slow_down_but_never_stop() -> None:
    assert max(restart_delay(1) for _ in range(50)) <= FIRST_DELAY
    for failures in (GIVE_UP_AFTER, 20, 2000):
        assert SLOW_DELAY / 2 <= restart_delay(failures) <= SLOW_DELAY
