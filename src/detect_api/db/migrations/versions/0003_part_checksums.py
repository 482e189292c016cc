"""Checksums of parts, and removals that drop an unfinished upload."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE part_checksums (
            job_id uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
            part_number integer NOT NULL,
            checksum text NOT NULL,
            PRIMARY KEY (job_id, part_number)
        )
        """
    )
    op.execute("ALTER TABLE removals ADD COLUMN multipart_id text")
