"""Webhooks that are to be sent, and what came of them."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE webhook_deliveries (
            id uuid PRIMARY KEY,
            job_id uuid NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
            event text NOT NULL,
            url text NOT NULL,
            origin text NOT NULL,
            body text NOT NULL,
            status text NOT NULL DEFAULT 'pending',
            tries integer NOT NULL DEFAULT 0,
            log jsonb NOT NULL DEFAULT '[]',
            next_try_at timestamptz,
            claim uuid,
            claimed_until timestamptz,
            created_at timestamptz NOT NULL DEFAULT now(),
            finished_at timestamptz
        );
        CREATE INDEX webhook_deliveries_job_idx ON webhook_deliveries (job_id, created_at);
        CREATE INDEX webhook_deliveries_due_idx ON webhook_deliveries (next_try_at)
            WHERE status = 'pending';
        CREATE INDEX webhook_deliveries_status_idx ON webhook_deliveries (status, finished_at);
        """
    )
