"""What a session may see and write: that of its owner (``core/owner.py``), and nothing else.

One event for all statements of the object-relational layer, so that no query can forget it. A job
has its tenant in a column; all else belongs to a job. Statements in plain text are not narrowed:
those that a request can cause look at nothing of a job's content.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, event, select
from sqlalchemy.orm import ORMExecuteState, Session, sessionmaker, with_loader_criteria

from detect_api.core.owner import Owner, current
from detect_api.db.tables import (
    ApiKey,
    AuditEntry,
    Event,
    Job,
    PartChecksum,
    Plate,
    Segment,
    TusPart,
    TusUpload,
    UnreadTrack,
    WebhookDelivery,
)

EVERYBODYS = "everybodys"
"""With this execution option a statement sees all tenants' rows; never for what is shown."""

OF_A_JOB = (
    Plate, UnreadTrack, Segment, Event, WebhookDelivery, PartChecksum, TusUpload, TusPart,
)  # fmt: skip
"""Tables whose rows belong to whom their ``job_id`` belongs."""


class NotYours(RuntimeError):
    """A row was about to be written for another tenant: a mistake in the program."""


def narrow(sessions: sessionmaker[Session]) -> None:
    """Registers the events on a session factory."""
    event.listen(sessions, "do_orm_execute", _narrow)
    event.listen(sessions, "before_flush", _check_writes)


def _narrow(state: ORMExecuteState) -> None:
    owner = current()
    if owner is None or state.execution_options.get(EVERYBODYS):
        return
    if state.is_select or state.is_update or state.is_delete:
        state.statement = state.statement.options(*_criteria(owner))


@lru_cache(maxsize=1024)
def _criteria(owner: Owner) -> tuple[Any, ...]:
    mine = _mine(owner)
    # A subquery on the bare table: the criteria must not be applied to themselves.
    table = Job.__table__
    jobs = select(table.c.id).where(table.c.tenant == owner.tenant)
    if owner.token_id is not None:
        jobs = jobs.where(table.c.upload_token == owner.token_id)
    tenant = owner.tenant
    return (
        with_loader_criteria(Job, mine, include_aliases=True),
        *(
            with_loader_criteria(kind, kind.job_id.in_(jobs), include_aliases=True)
            for kind in OF_A_JOB
        ),
        *(
            with_loader_criteria(kind, kind.tenant == tenant, include_aliases=True)
            for kind in (ApiKey, AuditEntry)
        ),
    )


def _mine(owner: Owner) -> ColumnElement[bool]:
    mine = Job.tenant == owner.tenant
    return mine if owner.token_id is None else mine & (Job.upload_token == owner.token_id)


def _check_writes(session: Session, _context: object, _instances: object) -> None:
    owner = current()
    if owner is None:
        return
    for row in (*session.new, *session.dirty, *session.deleted):
        # None: the column's default, which is the owner's, comes with the statement.
        if isinstance(row, Job | ApiKey | AuditEntry) and row.tenant not in (None, owner.tenant):
            raise NotYours(f"{type(row).__name__} of another tenant")
