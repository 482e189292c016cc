"""Connections to PostgreSQL."""

from __future__ import annotations

from typing import Any

from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session, sessionmaker

from detect_api.core.errors import Unavailable
from detect_api.db.narrow import narrow

SessionFactory = sessionmaker[Session]

WEBHOOK_URL = "webhook_url"
"""Under this key a session's ``info`` has the URL that hears of every video, or None."""

CONNECT_TIMEOUT_SECONDS = 5
KEEPALIVE: dict[str, Any] = {
    "connect_timeout": CONNECT_TIMEOUT_SECONDS,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""A database that vanishes without a word (a cut line, a dead machine) is noticed in 25 s."""

STATEMENT_TIMEOUT_MS = 30_000


def make_engine(
    database_url: str | None, *, pool_size: int = 10, autocommit: bool = False
) -> Engine:
    """An engine for a ``postgresql://`` URL, in all forms that libpq knows.

    Connections are tested before use, so that a restarted database costs one reconnect and not
    an error. Every statement has a time limit; errors do not tell its values, which may be what
    a plate reads. With ``autocommit`` each statement is a
    transaction of its own and connections are not tested first: the caller tries again. Raises
    Unavailable when no URL is set.
    """
    if not database_url:
        raise Unavailable(
            "No database is configured: set DATABASE_URL, or run 'detect-api serve', "
            "which brings its own.",
            code="database_not_configured",
        )
    return create_engine(
        "postgresql+psycopg://",
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=not autocommit,
        pool_timeout=15,
        pool_recycle=1800,
        hide_parameters=True,
        **({"isolation_level": "AUTOCOMMIT"} if autocommit else {}),
        # SQLAlchemy's own reading of URLs knows one host only.
        connect_args={
            **conninfo_to_dict(database_url),
            **KEEPALIVE,
            "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS}"
            " -c idle_in_transaction_session_timeout=120000 -c timezone=UTC",
        },
    )


def make_session_factory(engine: Engine, *, webhook_url: str | None = None) -> SessionFactory:
    """Sessions whose objects stay readable after commit.

    ``webhook_url`` hears of every video: a job may end in any of these sessions' transactions,
    and the webhook is written down in the same one. A session shows what belongs to the owner for
    whom its caller works, and to nobody else (``db/narrow.py``).
    """
    sessions = sessionmaker(engine, expire_on_commit=False, info={WEBHOOK_URL: webhook_url})
    narrow(sessions)
    return sessions
