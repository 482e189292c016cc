"""Resumable uploads through the API."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE tus_uploads (
            job_id uuid PRIMARY KEY,
            object_key text NOT NULL,
            multipart_id text,
            client_metadata text NOT NULL,
            object_metadata jsonb NOT NULL,
            length bigint,
            part_size bigint NOT NULL,
            received bigint NOT NULL DEFAULT 0,
            pieces jsonb NOT NULL DEFAULT '[]',
            holder uuid,
            held_until timestamptz,
            asked boolean NOT NULL DEFAULT false,
            finished boolean NOT NULL DEFAULT false,
            expires_at timestamptz NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now()
        );
        CREATE INDEX tus_uploads_expires_at_idx ON tus_uploads (expires_at);
        CREATE TABLE tus_parts (
            job_id uuid NOT NULL REFERENCES tus_uploads ON DELETE CASCADE,
            number integer NOT NULL,
            name text NOT NULL,
            PRIMARY KEY (job_id, number)
        );
        """
    )
