"""Migrations and tables say the same; migrating twice, or two at once, is harmless."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Table, text
from sqlalchemy.exc import ProgrammingError

from detect_api.db.migrate import upgrade
from detect_api.db.session import make_engine
from detect_api.db.tables import Base
from tests.integration.databases import database


def test_the_migrations_make_the_tables_that_the_code_expects(database_url: str) -> None:
    engine = make_engine(database_url)

    def ours(item: object, name: str | None, kind: str, _reflected: bool, _other: object) -> bool:
        table = item if isinstance(item, Table) else getattr(item, "table", None)
        name = table.name if table is not None else name
        return not (name or "").startswith(("procrastinate", "alembic"))

    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_object": ours, "compare_type": True}
        )
        differences = compare_metadata(context, Base.metadata)
    engine.dispose()
    assert differences == []


def test_migrating_again_and_at_the_same_time_changes_nothing(database_url: str) -> None:
    with database(database_url) as address:
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(upgrade, [address] * 3))
        engine = make_engine(address)
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT count(*) FROM alembic_version")) == 1
            assert connection.scalar(text("SELECT count(*) FROM jobs")) == 0
        engine.dispose()


def test_an_error_of_the_database_does_not_tell_what_a_plate_reads(database_url: str) -> None:
    engine = make_engine(database_url, pool_size=1)
    with pytest.raises(ProgrammingError) as info, engine.connect() as connection:
        connection.execute(text("SELECT :word FROM nowhere"), {"word": "AB12CDE"})
    assert "AB12CDE" not in str(info.value)
    engine.dispose()
