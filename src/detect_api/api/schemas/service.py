"""Bodies of the routes about the service itself."""

from __future__ import annotations

from pydantic import ConfigDict

from detect_api.api.schemas.base import Response


class Health(Response):
    """The process is alive."""

    status: str
    version: str

    model_config = ConfigDict(json_schema_extra={"example": {"status": "ok", "version": "0.1.0"}})


class PartState(Response):
    """One part that the service needs."""

    ok: bool
    detail: str


class Readiness(Response):
    """Whether requests and jobs can be served, part by part."""

    ready: bool
    database: PartState
    storage: PartState
    workers: PartState | None

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "ready": True,
                "database": {"ok": True, "detail": "answers"},
                "storage": {"ok": True, "detail": "answers"},
                "workers": {"ok": True, "detail": "1 alive"},
            }
        }
    )


class ClientConfig(Response):
    """What a client has to know before it uploads."""

    version: str
    s3_enabled: bool
    s3_detail: str | None
    upload_methods: list[str]
    tus_url: str
    max_file_size: int
    max_multipart_size: int
    multipart_threshold: int
    chunk_size: int
    upload_timeout_seconds: int
    upload_expiration_seconds: int
    video_extensions: list[str]
    image_extensions: list[str]
    sample_available: bool
    plates_hashed: bool

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "version": "0.1.0",
                "s3_enabled": True,
                "s3_detail": None,
                "upload_methods": ["s3", "s3-multipart", "api", "tus"],
                "tus_url": "/uploads/tus",
                "max_file_size": 524288000,
                "max_multipart_size": 5497558138880,
                "multipart_threshold": 104857600,
                "chunk_size": 1048576,
                "upload_timeout_seconds": 600,
                "upload_expiration_seconds": 3600,
                "video_extensions": ["avi", "flv", "mkv", "mov", "mp4", "webm"],
                "image_extensions": ["jpg", "png"],
                "sample_available": True,
                "plates_hashed": False,
            }
        }
    )
