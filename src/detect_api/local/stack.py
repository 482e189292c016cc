"""The whole service on one machine: what its settings leave open, the stack brings along."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from detect_api.core.config import Settings
from detect_api.local.layout import Credentials, DirectoryLock, Layout, StackError, empty
from detect_api.local.logs import Report
from detect_api.local.ports import LOOPBACK, PortBook, listen
from detect_api.local.postgres import Postgres, database_url
from detect_api.local.processes import MARK, Program, stop_leftovers
from detect_api.local.seaweedfs import SeaweedFS, storage_settings
from detect_api.local.supervisor import Part, Supervisor

START_SECONDS = 150.0
WORKER_STOP_SECONDS = 30.0  # a little longer than the worker's own time to drain
API_STOP_SECONDS = 10.0
SETTLE_SECONDS = 1.5
# structlog's console and JSON renderings, uvicorn's and Python's own last words.
ALARM = re.compile(
    r"\[(warning|error|critical)\s*\]|\"level\": ?\"(warning|error|critical)\"|"
    r"^(WARNING|ERROR|CRITICAL)\b"
)


@dataclass(frozen=True)
class Programs:
    """The service's own programs; a test may put others in their place.

    The API finds the number of its listening socket in ``LISTEN_DESCRIPTOR``.
    """

    migrate: tuple[str, ...] = (sys.executable, "-m", "detect_api.local.migrate")
    api: tuple[str, ...] = (sys.executable, "-m", "detect_api.local.serve_api")
    worker: tuple[str, ...] = (sys.executable, "-m", "detect_api.jobs.worker")


class Stack:
    """PostgreSQL, S3, API and workers, as the settings want them, under one supervisor.

    ``DATABASE_URL`` set: no PostgreSQL of its own. Another S3, or none: no SeaweedFS. With
    ``api=False`` only these two servers run, without migrations, API and workers.
    Parts are named ``postgres``, ``storage``, ``migrations``, ``api``, ``worker-0`` ….
    """

    def __init__(
        self,
        settings: Settings,
        *,
        report: Report = lambda _sentence: None,
        programs: Programs | None = None,
        api: bool = True,
    ) -> None:
        self._given = settings
        self._report = report
        self._programs = programs or Programs()
        self._with_api = api
        self._layout = Layout(settings.data_dir.expanduser().absolute())
        self._lock = DirectoryLock(self._layout.lock)
        self._listener: socket.socket | None = None
        self._postgres: Postgres | None = None
        self._storage: SeaweedFS | None = None
        self._supervisor: Supervisor | None = None
        self._credentials: Credentials | None = None

    @contextmanager
    def running(self) -> Iterator[Stack]:
        """Starts the stack for the length of a ``with`` block."""
        self.start()
        try:
            yield self
        finally:
            self.stop()

    def start(self) -> None:
        """Returns when everything can be used; raises ``StackError`` and leaves nothing running.

        Call it once.
        """
        self._layout.prepare()
        self._lock.acquire()
        try:
            self._prepare()
            self._supervisor = Supervisor(self._parts(), self._layout.logs, self._report)
            self._supervisor.start(START_SECONDS)
        except BaseException:
            self.stop(fast=True)
            raise
        if self._with_api:
            self._await_ready(30.0)

    def stop(self, *, fast: bool = False) -> None:
        """Ends everything, in reverse order; with ``fast`` without waiting for work to end."""
        if self._supervisor is not None:
            self._supervisor.stop(fast=fast)
        if self._listener is not None:
            self._listener.close()
        if self._lock.held:
            empty(self._layout.temporary)
            if self._storage is not None:
                self._storage.clean()
        self._lock.release()

    def hurry(self) -> None:
        """Makes a stop that is under way quick; safe to call from a signal handler."""
        if self._supervisor is not None:
            self._supervisor.hurry()

    @property
    def alive(self) -> bool:
        """Whether the supervisor looks after the parts; see ``failure`` if it does not."""
        return self._supervisor is not None and self._supervisor.alive

    @property
    def failure(self) -> StackError | None:
        """Why the stack ended by itself, if it did."""
        return self._supervisor.failure if self._supervisor else None

    @property
    def supervisor(self) -> Supervisor:
        """Who knows each part's state and pid; raises ``StackError`` before ``start``."""
        if self._supervisor is None:
            raise StackError("The stack was not started.")
        return self._supervisor

    def pid_of(self, name: str) -> int:
        """The pid of a part's process."""
        return self.supervisor.pid_of(name)

    def restart(self, name: str, timeout: float = 60.0) -> None:
        """Stops a part in good order, starts it again and waits until it can be used."""
        self.supervisor.restart(name, timeout)

    @property
    def layout(self) -> Layout:
        """Where its files lie."""
        return self._layout

    @property
    def api_url(self) -> str:
        """Where the API answers, without a slash at the end."""
        if self._listener is None:
            raise StackError("The stack has no API or was not started.")
        return f"http://{client_host(self._given.host)}:{self._listener.getsockname()[1]}"

    @property
    def database_url(self) -> str:
        """The database that the service uses; contains the password."""
        url = self.settings.database_url
        assert url is not None
        return url

    @property
    def settings(self) -> Settings:
        """The settings with everything filled in: what API and workers run with."""
        changed: dict[str, object] = {"data_dir": self._layout.root}
        if self._postgres is not None:
            changed["database_url"] = self._postgres.url
        if self._storage is not None:
            assert self._credentials is not None
            changed |= storage_settings(self._credentials, self._storage.port)
        if self._listener is not None:
            changed["port"] = self._listener.getsockname()[1]
        if self._given.worker_threads == 0:
            # A worker's decoder is as busy as its networks are; they must not fight for a core.
            changed["worker_threads"] = max(1, cores() // max(1, self._given.workers) - 1)
        return self._given.model_copy(update=changed)

    def environment(self) -> dict[str, str]:
        """The environment of API and workers: ours, with every setting spelled out."""
        assert self._credentials is not None
        return {
            **os.environ,
            **as_environment(self.settings),
            MARK: self._credentials.stack_id,
            "TMPDIR": str(self._layout.temporary),
            "PYTHONUNBUFFERED": "1",
        }

    def _prepare(self) -> None:
        self._credentials = Credentials.load_or_create(self._layout.credentials)
        if stopped := stop_leftovers(self._credentials.stack_id):
            self._report(f"Stopped {stopped} processes that a killed detect-api had left")
        empty(self._layout.temporary)
        if self._with_api:
            self._listener = listen(self._given.host, self._given.port)
        ports = PortBook(self._layout.ports)
        if self._given.storage_mode == "embedded":
            self._storage = SeaweedFS(
                self._layout.s3,
                self._credentials,
                ports,
                region=self._given.aws_region,
                prefix=self._given.s3_video_prefix,
            )
            self._storage.cors_origins = self._origins()
        if self._given.database_url is None:
            self._postgres = Postgres(self._layout.postgres, self._credentials, ports, self._report)

    def _origins(self) -> list[str]:
        """Whose pages may send to the embedded S3: the API's own, and those that may call it."""
        if self._listener is None:
            return ["*"]
        port = self._listener.getsockname()[1]
        hosts = dict.fromkeys([client_host(self._given.host), LOOPBACK, "localhost"])
        own = [f"http://{host}:{port}" for host in hosts]
        return ["*"] if "*" in self._given.cors_origin_list else own + self._given.cors_origin_list

    def _parts(self) -> list[Part]:
        """Storage first: it comes up by itself while the database is still being made."""
        parts: list[Part] = [part for part in (self._storage, self._postgres) if part]
        if not self._with_api:
            return parts
        servers = frozenset(part.name for part in parts)
        migrations = ServicePart(self, "migrations", "Database schema", self._programs.migrate)
        migrations.one_shot = True
        migrations.needs = servers & {"postgres"}
        api = ServicePart(self, "api", "API", self._programs.api, stop_seconds=API_STOP_SECONDS)
        api.health_url = f"{self.api_url}/health"
        assert self._listener is not None
        api.descriptors = (self._listener.fileno(),)
        workers = [
            ServicePart(
                self,
                f"worker-{index}",
                "Worker" if self._given.workers == 1 else f"Worker {index}",
                self._programs.worker,
                stop_seconds=WORKER_STOP_SECONDS,
            )
            for index in range(self._given.workers)
        ]
        if self._given.worker_metrics_port:
            for index, worker in enumerate(workers):
                port = self._given.worker_metrics_port + index
                worker.environment["WORKER_METRICS_PORT"] = str(port)
        for part in (api, *workers):
            part.needs = servers | {"migrations"}
        return [*parts, migrations, api, *workers]

    def _await_ready(self, seconds: float) -> None:
        """Wait for the API's own word that database, storage and workers are there."""
        deadline = time.monotonic() + seconds
        while missing := self._missing():
            if time.monotonic() > deadline:
                self._report(f"Not everything is ready yet: {missing}")
                return
            time.sleep(0.1)

    def _missing(self) -> str:
        """What ``/ready`` says is not there; workers count only if they are wanted."""
        status, body = fetch(f"{self.api_url}/ready")
        if status == 200:
            return ""
        try:
            states = {k: v for k, v in json.loads(body).items() if isinstance(v, dict)}
        except ValueError:
            return "the API does not answer"
        if self._given.workers == 0:
            states.pop("workers", None)
        return "; ".join(
            f"{name}: {state.get('detail')}" for name, state in states.items() if not state["ok"]
        )


class ServicePart:
    """A process of the service itself: migrations, API or worker."""

    def __init__(
        self,
        stack: Stack,
        name: str,
        label: str,
        argv: tuple[str, ...],
        *,
        stop_seconds: float = 10.0,
    ) -> None:
        self.name = name
        self.label = label
        self.needs: frozenset[str] = frozenset()
        self.one_shot = False
        self.ready_seconds = 90.0
        self.alarm = ALARM
        self.full_disk = None
        self.health_url: str | None = None
        self.descriptors: tuple[int, ...] = ()
        self.environment: dict[str, str] = {}
        self._stack = stack
        self._argv = argv
        self._stop_seconds = stop_seconds
        self._started = 0.0

    def program(self) -> Program:
        self._started = time.monotonic()
        environment = self._stack.environment() | self.environment
        if self.descriptors:
            environment["LISTEN_DESCRIPTOR"] = str(self.descriptors[0])
            # Uploads pass through many threads; glibc would keep freed memory for each of them.
            environment.setdefault("MALLOC_ARENA_MAX", "2")
        return Program(
            argv=self._argv,
            environment=environment,
            descriptors=self.descriptors,
            stop_seconds=self._stop_seconds,
        )

    def is_ready(self) -> bool:
        """An API that answers; a worker that did not die at once (the rest ``/ready`` knows)."""
        if self.health_url is None:
            return time.monotonic() - self._started > SETTLE_SECONDS
        return fetch(self.health_url)[0] == 200


def fetch(url: str, timeout: float = 2.0) -> tuple[int, str]:
    """Status and body of a GET; status 0 when nobody answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout) as answer:
            return answer.status, answer.read(65536).decode(errors="replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(65536).decode(errors="replace")
    except OSError:
        return 0, ""


def attach(settings: Settings) -> Settings:
    """The settings of the stack that another process runs on the same data directory."""
    layout = Layout(settings.data_dir.expanduser().absolute())
    credentials = Credentials.load_or_create(layout.credentials)
    ports = PortBook(layout.ports)
    changed: dict[str, object] = {"data_dir": layout.root}
    if settings.storage_mode == "embedded":
        changed |= storage_settings(credentials, ports.known("s3"))
    if settings.database_url is None:
        changed["database_url"] = database_url(credentials, ports.known("postgres"))
    return settings.model_copy(update=changed)


def as_environment(settings: Settings) -> dict[str, str]:
    """The settings as environment variables; one that is unset is empty, so that a ``.env`` file
    in the working directory cannot fill it in."""
    variables: dict[str, str] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        if value is None:
            text = ""
        elif isinstance(value, bool):
            text = "true" if value else "false"
        elif isinstance(value, str | int | float | Path):
            text = str(value)
        else:
            text = json.dumps(value)
        variables[name.upper()] = text
    return variables


def cores() -> int:
    """Processor cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def client_host(host: str) -> str:
    """The address at which a client on this machine reaches a listener on ``host``."""
    if host in ("", "0.0.0.0"):  # noqa: S104 (compared with, not listened on)  # nosec B104
        return LOOPBACK
    if host in ("::", "::0"):
        return "[::1]"
    return f"[{host}]" if ":" in host else host
