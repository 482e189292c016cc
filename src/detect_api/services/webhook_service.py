"""The log of webhooks, and sending one again by hand."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from detect_api.core.errors import Conflict, NotFound
from detect_api.db.tables import WebhookDelivery
from detect_api.jobs import outbox
from detect_api.services import job_service

_SHOWN = 100


def deliveries(session: Session, job_id: uuid.UUID) -> dict[str, Any]:
    """The webhooks of a job, the newest first, with what came of each try. Raises NotFound.

    For an upload, those of the job that processes its video belong to it.
    """
    job = job_service.get(session, job_id)
    jobs = [job_id, *([job.processing_job_id] if job.processing_job_id else [])]
    rows = session.scalars(
        select(WebhookDelivery)
        .where(WebhookDelivery.job_id.in_(jobs))
        .order_by(WebhookDelivery.created_at.desc(), WebhookDelivery.id)
        .limit(_SHOWN)
    )
    return {"job_id": str(job_id), "webhooks": [outbox.delivery_view(row) for row in rows]}


def replay(session: Session, delivery_id: uuid.UUID) -> dict[str, Any]:
    """Has a webhook sent again, now, and then as often as a new one; answers with it.

    It keeps its id and body, so that the receiver knows it again. Raises NotFound, and Conflict
    while it is being sent or about to be.
    """
    row = session.get(WebhookDelivery, delivery_id, with_for_update=True)
    if row is None:
        raise NotFound(f"There is no webhook {delivery_id}.", code="webhook_not_found")
    now = session.scalars(select(func.now())).one()
    claimed = row.claimed_until is not None and row.claimed_until > now
    due = row.next_try_at is not None and row.next_try_at <= now
    if row.status == outbox.PENDING and (claimed or due):
        raise Conflict(
            "The webhook is just being sent: look at GET /jobs/{job_id}/webhooks in a moment.",
            code="webhook_waiting",
        )
    row.status = outbox.PENDING
    row.tries = 0
    row.next_try_at = now
    row.claim = row.claimed_until = row.finished_at = None
    session.flush()
    return outbox.delivery_view(row)
