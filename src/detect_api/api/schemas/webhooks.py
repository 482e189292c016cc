"""Bodies of the routes about webhooks."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict

from detect_api.api.schemas.base import Response
from detect_api.api.schemas.video import JOB

DELIVERY = "c0f0a1c2-5d8e-4b7f-9a55-0b1f5a7d2e10"
_EXAMPLE: dict[str, Any] = {
    "delivery_id": DELIVERY,
    "job_id": JOB,
    "event": "job.completed",
    "url": "https://example.com/…",
    "status": "pending",
    "created_at": "2025-01-13T14:31:42.310Z",
    "finished_at": None,
    "next_try_at": "2025-01-13T14:31:49.020Z",
    "tries": [
        {
            "at": "2025-01-13T14:31:42.900Z",
            "seconds": 0.184,
            "status_code": 503,
            "error": None,
            "response": "try later",
        }
    ],
}


class Try(Response):
    """What came of one try: an HTTP status, or the reason why there is none."""

    at: str
    seconds: float
    status_code: int | None
    error: str | None
    response: str


class Delivery(Response):
    """A webhook to one receiver. Of its URL only scheme, host and port are shown."""

    delivery_id: str
    job_id: str
    event: Literal["job.completed", "job.failed", "job.cancelled", "upload.expired"]
    url: str
    status: Literal["pending", "delivered", "failed"]
    created_at: str
    finished_at: str | None
    next_try_at: str | None
    tries: list[Try]

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})


class Deliveries(Response):
    """The webhooks of a job, the newest first."""

    job_id: str
    webhooks: list[Delivery]

    model_config = ConfigDict(
        json_schema_extra={"example": {"job_id": JOB, "webhooks": [_EXAMPLE]}}
    )
