"""Bodies of the routes about keys."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from detect_api.api.schemas.base import Request, Response


class TokenRequest(Request):
    """What an upload token is to allow."""

    max_file_size: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    content_type: Annotated[str, Field(pattern=r"^(video|image)/[A-Za-z0-9.+\-]{1,80}$")] | None = (
        None
    )
    expires_in: Annotated[int, Field(ge=10, le=86400)] = 3600

    model_config = ConfigDict(
        json_schema_extra={"example": {"max_file_size": 104857600, "content_type": "video/mp4"}}
    )


class UploadToken(Response):
    """A token for one upload; it is not shown again."""

    token: str
    token_id: str
    expires_at: str
    max_file_size: int | None
    content_type: str | None

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "token": "da_u_…",
                "token_id": "0192f0c1-2f1b-7d1e-8a53-6b1f0f0a7a11",
                "expires_at": "2026-01-01T13:00:00.000Z",
                "max_file_size": 104857600,
                "content_type": "video/mp4",
            }
        }
    )


class AuditRecord(Response):
    """Who did what, and when."""

    entry_id: int
    at: str
    key_id: str | None
    key_name: str | None
    action: str
    target: str | None
    details: dict[str, Any]
    request_id: str | None


class AuditLog(Response):
    """A page of the audit log."""

    entries: list[AuditRecord]
    next_cursor: str | None

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "entries": [
                    {
                        "entry_id": 17,
                        "at": "2026-01-01T12:00:00.000Z",
                        "key_id": "0192f0c1-2f1b-7d1e-8a53-6b1f0f0a7a11",
                        "key_name": "gate 3",
                        "action": "search",
                        "target": None,
                        "details": {"with_text": True},
                        "request_id": "0d9c1a52c1f64bd2",
                    }
                ],
                "next_cursor": None,
            }
        }
    )
