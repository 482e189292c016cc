"""Where each plate was, frame by frame."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE plates ADD COLUMN path jsonb;
        ALTER TABLE unread_tracks ADD COLUMN path jsonb
        """
    )
