"""Indexes for what the sweep looks for again and again, which otherwise reads all jobs."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE INDEX jobs_videos_kept_idx ON jobs ((coalesce(completed_at, updated_at)))
         WHERE status IN ('completed', 'failed', 'cancelled', 'expired', 'uploaded')
           AND object_key IS NOT NULL AND video_deleted_at IS NULL;
        CREATE INDEX jobs_pictures_kept_idx ON jobs ((coalesce(completed_at, updated_at)))
         WHERE status IN ('completed', 'failed', 'cancelled', 'expired', 'uploaded')
           AND type <> 'upload' AND pictures_deleted_at IS NULL;
        CREATE INDEX jobs_plates_kept_idx ON jobs ((coalesce(completed_at, updated_at)))
         WHERE status IN ('completed', 'failed', 'cancelled', 'expired', 'uploaded')
           AND type <> 'upload' AND plates_deleted_at IS NULL;
        CREATE INDEX jobs_parts_to_go_idx ON jobs (id) WHERE multipart_id IS NOT NULL;
        CREATE INDEX jobs_video_to_go_idx ON jobs (id)
         WHERE status = 'completed' AND video_deleted_at IS NULL
           AND parameters->>'delete_after_processing' = 'true';
        """
    )
