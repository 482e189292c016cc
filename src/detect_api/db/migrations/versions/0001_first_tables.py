"""First tables, and the queue's own."""

from __future__ import annotations

from alembic import op
from procrastinate.schema import SchemaManager
from procrastinate.testing import InMemoryConnector

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS fuzzystrmatch;

CREATE TABLE jobs (
    id uuid PRIMARY KEY,
    type text NOT NULL,
    status text NOT NULL,
    attempt integer NOT NULL DEFAULT 1,
    progress double precision NOT NULL DEFAULT 0,
    message text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    completed_at timestamptz,
    expires_at timestamptz,
    error_code text,
    error_detail text,
    parameters jsonb NOT NULL DEFAULT '{}',
    filename text,
    content_type text,
    file_size bigint,
    object_key text,
    object_etag text,
    input_sha256 text,
    multipart_id text,
    upload jsonb,
    checked_at timestamptz,
    processing_job_id uuid,
    video_deleted_at timestamptz,
    video jsonb,
    problems jsonb NOT NULL DEFAULT '[]',
    models jsonb NOT NULL DEFAULT '[]',
    software text,
    planned_segments integer,
    merged_segments integer NOT NULL DEFAULT 0,
    merge_state bytea,
    frames_total integer NOT NULL DEFAULT 0,
    frames_done integer NOT NULL DEFAULT 0,
    frames_with_detections integer NOT NULL DEFAULT 0,
    detections integer NOT NULL DEFAULT 0,
    plates_found integer NOT NULL DEFAULT 0,
    unread_found integer NOT NULL DEFAULT 0
);
CREATE INDEX jobs_created_at_idx ON jobs (created_at, id);
CREATE INDEX jobs_status_idx ON jobs (status, updated_at);
CREATE INDEX jobs_object_key_idx ON jobs (object_key);

CREATE TABLE segments (
    job_id uuid NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    index integer NOT NULL,
    attempt integer NOT NULL,
    first_frame integer NOT NULL,
    end_frame integer NOT NULL,
    start_seconds double precision NOT NULL,
    end_seconds double precision NOT NULL,
    cursor jsonb NOT NULL,
    tries integer NOT NULL DEFAULT 0,
    started_at timestamptz,
    finished_at timestamptz,
    frames_done integer NOT NULL DEFAULT 0,
    detections integer NOT NULL DEFAULT 0,
    result bytea,
    PRIMARY KEY (job_id, index)
);

CREATE TABLE plates (
    id uuid PRIMARY KEY,
    job_id uuid NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    track_id integer NOT NULL,
    text text NOT NULL,
    read_text text NOT NULL,
    first_frame integer NOT NULL,
    confidence double precision NOT NULL,
    details jsonb NOT NULL,
    crop_key text NOT NULL,
    frame_key text NOT NULL,
    corrected_by text,
    corrected_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX plates_job_track_idx ON plates (job_id, track_id);
CREATE INDEX plates_job_order_idx ON plates (job_id, first_frame, track_id);
CREATE INDEX plates_created_at_idx ON plates (created_at, id);
CREATE INDEX plates_text_trgm_idx ON plates USING gin (text gin_trgm_ops);

CREATE TABLE unread_tracks (
    job_id uuid NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    track_id integer NOT NULL,
    details jsonb NOT NULL,
    crop_key text NOT NULL,
    PRIMARY KEY (job_id, track_id)
);

CREATE TABLE events (
    id bigserial PRIMARY KEY,
    job_id uuid NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    type text NOT NULL,
    data jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX events_job_idx ON events (job_id, id);

CREATE TABLE idempotency_keys (
    route text NOT NULL,
    key text NOT NULL,
    fingerprint text NOT NULL,
    response jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (route, key)
);
CREATE INDEX idempotency_keys_created_at_idx ON idempotency_keys (created_at);

CREATE TABLE removals (
    id bigserial PRIMARY KEY,
    prefix text NOT NULL,
    keep_until timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE leases (
    name text PRIMARY KEY,
    until timestamptz NOT NULL
);
"""


def upgrade() -> None:
    """Creates the tables of this service and those of Procrastinate."""
    cursor = op.get_bind().connection.cursor()
    cursor.execute(TABLES)
    # The schema is a file of the installed package; no connector is asked for anything.
    cursor.execute(SchemaManager(connector=InMemoryConnector()).get_schema())
