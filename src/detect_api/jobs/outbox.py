"""Writing webhooks down: in the transaction that ends a job, so that none is lost or made up.

``deliver.py`` has them sent.
"""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from detect_api.core.ids import new_id
from detect_api.db.session import WEBHOOK_URL
from detect_api.db.tables import Job, WebhookDelivery
from detect_api.jobs import status as states
from detect_api.jobs.views import job_view, rfc3339
from detect_api.webhooks.target import origin_of

PENDING, DELIVERED, FAILED = "pending", "delivered", "failed"

EVENTS = {
    states.COMPLETED: "job.completed",
    states.FAILED: "job.failed",
    states.CANCELLED: "job.cancelled",
    states.EXPIRED: "upload.expired",
}
"""What a webhook's ``type`` says when a job comes to an end."""

_FORGET_AT_ONCE = 1000


def announce(session: Session, job_id: uuid.UUID, status: str) -> None:
    """Writes down what the job's end, in ``status``, has to be told to whom.

    To the ``webhook_url`` among its parameters, and to the one that hears of every video. They
    are sent once the session's transaction has committed, and only then.
    """
    job = session.get(Job, job_id, populate_existing=True)
    if job is None:
        return
    receivers = [job.parameters.get("webhook_url")]
    if job.type != "image":
        receivers.append(session.info.get(WEBHOOK_URL))
    urls = [url for url in dict.fromkeys(receivers) if url]
    body = _body(session, job, EVENTS[status]) if urls else ""
    for url in urls:
        session.add(
            WebhookDelivery(
                id=new_id(),
                job_id=job_id,
                event=EVENTS[status],
                url=url,
                origin=origin_of(url),
                body=body,
                next_try_at=func.now(),
            )
        )
    session.flush()


def forget(session: Session, days: int) -> None:
    """Deletes deliveries that ended so many days ago, a limited number at a time."""
    old = (
        select(WebhookDelivery.id)
        .where(
            WebhookDelivery.status.in_((DELIVERED, FAILED)),
            WebhookDelivery.finished_at < func.now() - timedelta(days=days),
        )
        .limit(_FORGET_AT_ONCE)
    )
    session.execute(delete(WebhookDelivery).where(WebhookDelivery.id.in_(old)))


def delivery_view(delivery: WebhookDelivery) -> dict[str, Any]:
    """A delivery as the log shows it. Of its URL, only what is no secret."""
    return {
        "delivery_id": str(delivery.id),
        "job_id": str(delivery.job_id),
        "event": delivery.event,
        "url": delivery.origin + "/…",
        "status": delivery.status,
        "created_at": rfc3339(delivery.created_at),
        "finished_at": rfc3339(delivery.finished_at),
        "next_try_at": rfc3339(delivery.next_try_at),
        "tries": delivery.log,
    }


def _body(session: Session, job: Job, event: str) -> str:
    upload = None
    if job.type != "upload" and job.object_key is not None:
        # A client that had its upload processed by itself knows the upload's id only.
        upload = session.scalar(
            select(Job.id).where(
                Job.object_key == job.object_key,
                Job.type == "upload",
                Job.processing_job_id == job.id,
            )
        )
    data = {**job_view(job), "upload_job_id": str(upload) if upload else None}
    # The database's time, as those in ``data`` are.
    ended = rfc3339(job.completed_at or job.updated_at)
    content = {"type": event, "timestamp": ended, "data": data}
    return json.dumps(content, separators=(",", ":"))
