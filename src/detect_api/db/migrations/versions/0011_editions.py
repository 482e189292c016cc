"""Which versions can work on a job, and which can work with this database."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE jobs ADD COLUMN edition text")
    op.execute("CREATE TABLE oldest_version (revision text PRIMARY KEY)")
    op.execute("INSERT INTO oldest_version VALUES ('0001')")
    # For each task that it looks at, the queue's fetch looks whether another one holds its lock;
    # its own index begins with the id, and was seen to be read from one end to the other.
    op.execute(
        """
        CREATE INDEX detect_api_tasks_lock_idx ON procrastinate_jobs (lock)
         WHERE status IN ('todo', 'doing')
        """
    )
