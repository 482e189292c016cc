"""How the service as a whole is doing, from the database's point of view."""

from __future__ import annotations

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from detect_api.core.metrics import Metrics
from detect_api.db.tables import Job, WebhookDelivery
from detect_api.jobs import outbox, queue, states

ALIVE_SECONDS = 10.0
"""A worker whose last heartbeat is older does not count as alive."""


def workers_alive(session: Session) -> int:
    """Worker processes with a fresh heartbeat. Each has three lanes in the queue."""
    lanes = session.scalar(
        text(
            "SELECT count(*) FROM procrastinate_workers "
            "WHERE last_heartbeat > now() - make_interval(secs => :seconds)"
        ),
        {"seconds": ALIVE_SECONDS},
    )
    return (int(lanes or 0) + 2) // 3


def fill_gauges(session: Session, metrics: Metrics) -> None:
    """Sets the gauges that describe jobs, webhooks, queue and workers."""
    counts: dict[str, int] = {
        row.status: row.number
        for row in session.execute(
            select(Job.status, func.count().label("number")).group_by(Job.status)
        )
    }
    for status in states.ALL:
        metrics.jobs.labels(status).set(counts.get(status, 0))
    deliveries: dict[str, int] = {
        row.status: row.number
        for row in session.execute(
            select(WebhookDelivery.status, func.count().label("number")).group_by(
                WebhookDelivery.status
            )
        )
    }
    for status in (outbox.PENDING, outbox.DELIVERED, outbox.FAILED):
        metrics.webhooks.labels(status).set(deliveries.get(status, 0))
    waiting: dict[str, int] = {
        row.queue_name: row.number
        for row in session.execute(
            text(
                "SELECT split_part(queue_name, ':', 1) AS queue_name, count(*) AS number "
                "FROM procrastinate_jobs WHERE status = 'todo' GROUP BY 1"
            )
        )
    }
    for name in (queue.SEGMENTS, queue.CONTROL):
        metrics.queue.labels(name).set(waiting.get(name, 0))
    oldest = session.scalar(
        text(
            "SELECT extract(epoch FROM now() - min(e.at)) FROM procrastinate_jobs j "
            "JOIN procrastinate_events e ON e.job_id = j.id AND e.type = 'deferred' "
            "WHERE j.status = 'todo'"
        )
    )
    metrics.queue_age.set(float(oldest or 0))
    metrics.workers.set(workers_alive(session))
