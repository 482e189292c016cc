"""Whether a job with this id was deleted."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE INDEX receipts_job_idx ON receipts ((subject ->> 'job_id')) WHERE kind = 'job'
        """
    )
