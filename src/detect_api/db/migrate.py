"""Bringing a database to this version's tables."""

from __future__ import annotations

import structlog
from alembic import command
from sqlalchemy import text

from detect_api.db.schema import DatabaseVersion, Fit, alembic_config, fit
from detect_api.db.session import make_engine

log = structlog.get_logger(__name__)

_LOCK = 0x6465_7465_6374  # "detect"; any number that only we use


def upgrade(database_url: str, revision: str = "head") -> Fit:
    """Brings the database to the newest revision; does nothing if it is there already.

    Nor if a newer version has been there and this one can work with what it left. Raises
    DatabaseVersion if it cannot. Safe to call from several processes at once: they take turns.
    """
    engine = make_engine(database_url, pool_size=1)
    try:
        with engine.connect() as connection:
            connection.execute(text("SET statement_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
            connection.commit()
            try:
                found = fit(connection)
                if found.state == "too_new":
                    raise DatabaseVersion(found.detail)
                if found.state == "newer":
                    log.info("database_is_newer", detail=found.detail)
                    return found
                config = alembic_config()
                config.attributes["connection"] = connection
                command.upgrade(config, revision)
                connection.commit()
                return fit(connection)
            finally:
                connection.rollback()
                connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
                connection.commit()
    finally:
        engine.dispose()


def look(database_url: str) -> Fit:
    """How the database and this version fit; changes nothing."""
    engine = make_engine(database_url, pool_size=1)
    try:
        with engine.connect() as connection:
            return fit(connection)
    finally:
        engine.dispose()
