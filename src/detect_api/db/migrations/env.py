"""Runs the migrations on the connection that ``db.migrate`` hands over."""

from __future__ import annotations

from alembic import context

from detect_api.db.tables import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
