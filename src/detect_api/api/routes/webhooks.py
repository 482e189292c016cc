"""What was told to whom when a job ended, and telling it again."""

from __future__ import annotations

import uuid
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from detect_api.api.deps import PartsDep
from detect_api.api.schemas.base import problems
from detect_api.api.schemas.webhooks import Deliveries, Delivery
from detect_api.services import webhook_service

router = APIRouter(tags=["webhooks"])


@router.get(
    "/jobs/{job_id}/webhooks",
    response_model=Deliveries,
    responses=problems(404),
    summary="List a job's webhooks and what came of them",
)
def deliveries(job_id: uuid.UUID, parts: PartsDep) -> Any:
    with parts.sessions() as session:
        return JSONResponse(webhook_service.deliveries(session, job_id))


@router.post(
    "/webhooks/{delivery_id}/replay",
    response_model=Delivery,
    responses=problems(404, 409),
    summary="Send a webhook again",
)
def replay(delivery_id: uuid.UUID, parts: PartsDep) -> Any:
    with parts.sessions.begin() as session:
        return JSONResponse(webhook_service.replay(session, delivery_id))
