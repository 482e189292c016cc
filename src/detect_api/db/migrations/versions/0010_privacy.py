"""Receipts of deletions, what retention has deleted, and redacted videos."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE jobs ADD COLUMN pictures_deleted_at timestamptz,
                         ADD COLUMN plates_deleted_at timestamptz;
        CREATE INDEX segments_readings_idx ON segments (job_id) WHERE result IS NOT NULL;
        ALTER TABLE removals ADD COLUMN receipt_id uuid, ADD COLUMN tried_at timestamptz;
        CREATE INDEX removals_receipt_idx ON removals (receipt_id);
        CREATE TABLE receipts (
            id uuid PRIMARY KEY,
            kind text NOT NULL,
            subject jsonb NOT NULL,
            rows jsonb NOT NULL DEFAULT '{}',
            objects jsonb NOT NULL DEFAULT '{}',
            wanted text,
            document text,
            signature text,
            created_at timestamptz NOT NULL DEFAULT now(),
            finished_at timestamptz
        );
        CREATE INDEX receipts_open_idx ON receipts (created_at) WHERE finished_at IS NULL;
        CREATE TABLE service_keys (
            name text PRIMARY KEY,
            secret bytea NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now()
        );
        CREATE TABLE redactions (
            job_id uuid PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
            export_id uuid NOT NULL,
            status text NOT NULL DEFAULT 'pending',
            frames_done integer NOT NULL DEFAULT 0,
            frames_missing integer NOT NULL DEFAULT 0,
            object_key text,
            size bigint,
            error_code text,
            error_detail text,
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now(),
            completed_at timestamptz
        );
        """
    )
