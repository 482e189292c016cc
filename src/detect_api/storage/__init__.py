"""Object storage: the port, and the two stores behind it."""

from __future__ import annotations

from detect_api.core.config import Settings
from detect_api.storage.base import ObjectStore


def s3_problem(settings: Settings) -> str | None:
    """Why the S3 routes cannot work with these settings, as a sentence; None if they can."""
    if settings.storage_mode == "directory":
        return "S3 upload is not enabled: set ENABLE_S3=true to use it."
    if settings.storage_mode == "embedded":
        return (
            "S3 service is not properly configured: the embedded storage is started by "
            "'detect-api serve'."
        )
    if not settings.s3_bucket_name:
        return "S3 service is not properly configured: set S3_BUCKET_NAME."
    from detect_api.storage.s3 import has_credentials

    if not has_credentials(settings):
        return (
            "S3 service is not properly configured: set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or give the machine a role."
        )
    return None


def make_store(settings: Settings) -> ObjectStore:
    """The store that the settings mean.

    Where S3 is off, or on but not completely configured, it is the directory under DATA_DIR, so
    that uploads through the API work all the same.
    """
    if s3_problem(settings) is None:
        from detect_api.storage.s3 import S3Store

        return S3Store.from_settings(settings)
    from detect_api.storage.directory import DirectoryStore

    return DirectoryStore(settings.data_dir / "storage")
