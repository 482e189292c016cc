"""Whether a database and this version fit each other.

Migrations come in two steps. One release only adds tables and columns, so that the release before
goes on working beside it; what is no longer used goes with a later release, in a migration that
says so in ``oldest_version``. Thus a newer database is no reason to stop, unless it says it is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import structlog
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from detect_api.core.errors import Unavailable
from detect_api.db.session import make_engine

log = structlog.get_logger(__name__)

AWAIT_SECONDS = 60.0
_PAUSE_SECONDS = 0.5


class DatabaseVersion(Unavailable):
    """The database's tables are not those that this version works with."""

    code = "database_version"


@dataclass(frozen=True)
class Fit:
    """How a database and this version fit; ``detail`` is one sentence that says what to do.

    ``old``: migrations are missing. ``newer``: a newer version brought it on, and this one can
    work with it. ``too_new``: it cannot.
    """

    state: Literal["same", "old", "newer", "too_new"]
    detail: str

    @property
    def usable(self) -> bool:
        """Whether this version can work with the database as it is."""
        return self.state in ("same", "newer")


def alembic_config() -> Config:
    """Alembic's configuration; the scripts lie beside this module."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


@cache
def _known() -> tuple[str, frozenset[str]]:
    """The newest revision that this version brings, and all of them."""
    scripts = ScriptDirectory.from_config(alembic_config())
    newest = scripts.get_current_head()
    assert newest is not None
    return newest, frozenset(script.revision for script in scripts.walk_revisions())


def fit(connection: Connection) -> Fit:
    """Compares what the database says of itself with what this version brings."""
    newest, known = _known()
    current = oldest = None
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is not None:
        current = connection.scalar(text("SELECT version_num FROM alembic_version"))
    if connection.scalar(text("SELECT to_regclass('oldest_version')")) is not None:
        oldest = connection.scalar(text("SELECT max(revision) FROM oldest_version"))
    if current == newest:
        return Fit("same", f"The database is at revision {newest}.")
    if current is None or current in known:
        return Fit(
            "old",
            f"The database is at revision {current or 'none'} and this version needs {newest}: "
            "run 'detect-api migrate' with this version.",
        )
    if oldest is not None and oldest > newest:
        return Fit(
            "too_new",
            f"The database is at revision {current}, for versions that bring {oldest} or later, "
            f"and this one brings {newest}: install the newer version of detect-api.",
        )
    return Fit(
        "newer",
        f"The database is at revision {current}, brought by a newer version; this one ({newest}) "
        "can work with it.",
    )


def await_fit(database_url: str | None, seconds: float = AWAIT_SECONDS) -> None:
    """Returns once this version can work with the database.

    Waits for migrations that are still to come, and for a database that does not answer. Raises
    DatabaseVersion when it has waited long enough, and at once for a database that is too new.
    """
    engine = make_engine(database_url, pool_size=1)
    ends = time.monotonic() + seconds
    said = False
    try:
        while True:
            try:
                with engine.connect() as connection:
                    found = fit(connection)
            except SQLAlchemyError as error:
                # The text of the error may hold the address with its password.
                found = Fit("old", f"The database does not answer ({type(error).__name__}).")
            if found.usable:
                return
            if found.state == "too_new" or time.monotonic() > ends:
                raise DatabaseVersion(found.detail)
            if not said:
                said = True
                log.warning("waiting_for_database", detail=found.detail)
            time.sleep(_PAUSE_SECONDS)
    finally:
        engine.dispose()
