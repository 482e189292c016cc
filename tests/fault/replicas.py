"""Two PostgreSQL servers, of which the second follows the first and can take its place."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg

from detect_api.local.layout import Credentials
from detect_api.local.logs import ChildLog
from detect_api.local.ports import LOOPBACK, PortBook
from detect_api.local.postgres import DATABASE, ROLE, Postgres
from detect_api.local.processes import Child, Program

STANDBY = "standby"
WAIT_SECONDS = 60.0

_REPLICATION = {"wal_level": "replica", "max_wal_senders": "4"}


class Server(Postgres):
    """One of the two. Its role may copy the whole server; its data lie below ``folder``."""

    def __init__(self, folder: Path, credentials: Credentials) -> None:
        folder.mkdir()
        super().__init__(
            folder / "postgres", credentials, PortBook(folder / "ports.json"), lambda _line: None
        )
        self._log = ChildLog(folder.name, folder / "log", self.alarm, lambda _line: None)
        self._child: Child | None = None

    def start(self, **settings: str) -> None:
        """Starts the server with these settings beside its own."""
        program = self.program()
        more = [
            word for name, value in {**_REPLICATION, **settings}.items()
            for word in ("-c", f"{name}={value}")
        ]  # fmt: skip
        self._child = Child(replace(program, argv=(*program.argv, *more)), self._log)

    def stop(self) -> None:
        """Kills what still runs."""
        if self._child is not None and self._child.exit_status() is None:
            self.kill()
        self._log.close()

    def kill(self) -> None:
        """kill -9 of the server and of all its processes, as when a machine goes dark."""
        assert self._child is not None
        server = psutil.Process(self._child.pid)
        processes = [server, *server.children(recursive=True)]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, timeout=WAIT_SECONDS)
        assert self._child.exit_status() is not None

    def let_be_copied(self) -> None:
        """Allows its role to replicate, and to see that it does. Before the start."""
        self.program()  # makes the data directory
        self._single_user("data", f"ALTER ROLE {ROLE} REPLICATION;")
        self._single_user("data", f"GRANT pg_monitor TO {ROLE};")
        with (self._data / "pg_hba.conf").open("a") as rules:
            rules.write(f"host replication {ROLE} {LOOPBACK}/32 scram-sha-256\n")

    def copy(self, other: Server) -> None:
        """Becomes a copy of the other one that follows it from its start on."""
        self.program()
        shutil.rmtree(self._data)
        where = f"host={LOOPBACK} port={other.port} user={ROLE} application_name={STANDBY}"
        self._run(
            "pg_basebackup", "-d", where, "-D", self._path("data"), "-R", "-X", "stream",
            "-c", "fast",
        )  # fmt: skip

    def promote(self) -> None:
        """Makes the standby the primary."""
        self._run("pg_ctl", "promote", "-D", self._path("data"), "-w")

    def _as_user(self, name: str, *arguments: str) -> Program:
        program = super()._as_user(name, *arguments)
        secret = {"PGPASSWORD": self._credentials.postgres_password}
        return replace(program, environment={**program.environment, **secret})


class Pair:
    """A primary that acknowledges nothing before the standby has it, and that standby."""

    def __init__(self, folder: Path) -> None:
        credentials = Credentials.load_or_create(folder / "credentials.json")
        self.primary = Server(folder / "primary", credentials)
        self.standby = Server(folder / "standby", credentials)
        hosts = f"{LOOPBACK}:{self.primary.port},{LOOPBACK}:{self.standby.port}"
        self.url = (
            f"postgresql://{ROLE}:{credentials.postgres_password}@{hosts}/{DATABASE}"
            "?target_session_attrs=read-write"
        )
        """Of whichever is the primary."""

    def start(self) -> None:
        """Returns once the standby follows."""
        self.primary.let_be_copied()
        self.primary.start(synchronous_standby_names=STANDBY)
        _await(self.primary.is_ready)
        self.standby.copy(self.primary)
        self.standby.start()
        _await(self._is_followed)

    def stop(self) -> None:
        for server in (self.standby, self.primary):
            server.stop()

    def fail_over(self, seconds: float) -> None:
        """The primary is killed; after so long the standby takes its place."""
        self.primary.kill()
        time.sleep(seconds)
        self.standby.promote()

    def _is_followed(self) -> bool:
        with psycopg.connect(self.primary.url, connect_timeout=5) as connection:
            row = connection.execute("SELECT sync_state FROM pg_stat_replication").fetchone()
        return row == ("sync",)


def _await(true: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


@contextlib.contextmanager
def running_pair(folder: Path) -> Iterator[Pair]:
    """Both servers, running."""
    pair = Pair(folder)
    try:
        pair.start()
        yield pair
    finally:
        pair.stop()
