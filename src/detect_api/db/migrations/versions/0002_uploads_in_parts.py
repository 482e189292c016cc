"""Uploads in parts, and uploads whose processing starts by itself."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE jobs
            ADD COLUMN part_size bigint,
            ADD COLUMN checksum text,
            ADD COLUMN auto_process boolean NOT NULL DEFAULT false
        """
    )
