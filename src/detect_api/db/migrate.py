"""Bringing a database to this version's tables."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from detect_api.db.session import make_engine

_LOCK = 0x6465_7465_6374  # "detect"; any number that only we use


def alembic_config() -> Config:
    """Alembic's configuration; the scripts lie beside this module."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def upgrade(database_url: str) -> None:
    """Brings the database to the newest revision; does nothing if it is there already.

    Safe to call from several processes at once: they take turns.
    """
    engine = make_engine(database_url, pool_size=1)
    try:
        with engine.connect() as connection:
            connection.execute(text("SET statement_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
            connection.commit()
            try:
                config = alembic_config()
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                connection.commit()
            finally:
                connection.rollback()
                connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
                connection.commit()
    finally:
        engine.dispose()
