"""The embedded stack: PostgreSQL, S3, API and workers on loopback, watched by one supervisor."""
