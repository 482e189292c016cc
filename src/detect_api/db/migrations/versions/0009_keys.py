"""Keys, whose each job is, and who did what."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE api_keys (
            id uuid PRIMARY KEY,
            kind text NOT NULL,
            parent_id uuid REFERENCES api_keys (id) ON DELETE CASCADE,
            name text NOT NULL,
            tenant text NOT NULL,
            prefix text NOT NULL,
            secret_hash bytea NOT NULL,
            scopes jsonb NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            expires_at timestamptz,
            revoked_at timestamptz,
            last_used_at timestamptz,
            requests_per_minute integer,
            jobs_per_day integer,
            jobs_at_once integer,
            bytes_per_day bigint,
            max_file_size bigint,
            content_type text,
            spent_for text
        );
        CREATE UNIQUE INDEX api_keys_prefix_idx ON api_keys (prefix);
        CREATE INDEX api_keys_parent_idx ON api_keys (parent_id);
        CREATE TABLE audit_log (
            id bigserial PRIMARY KEY,
            at timestamptz NOT NULL DEFAULT now(),
            tenant text NOT NULL,
            key_id uuid,
            key_name text,
            action text NOT NULL,
            target text,
            details jsonb NOT NULL DEFAULT '{}',
            request_id text
        );
        CREATE INDEX audit_log_tenant_idx ON audit_log (tenant, id);
        CREATE INDEX audit_log_at_idx ON audit_log (at);
        ALTER TABLE jobs ADD COLUMN tenant text NOT NULL DEFAULT 'default';
        ALTER TABLE jobs ADD COLUMN key_id uuid;
        ALTER TABLE jobs ADD COLUMN upload_token uuid;
        CREATE INDEX jobs_tenant_idx ON jobs (tenant, created_at, id);
        CREATE INDEX jobs_key_idx ON jobs (key_id, created_at) WHERE key_id IS NOT NULL;
        CREATE INDEX jobs_upload_token_idx ON jobs (upload_token) WHERE upload_token IS NOT NULL;
        """
    )
