"""Answers to ``GET /jobs/{id}``, kept for as long as they are true.

Clients poll, many and often, and a job changes a few times a second at most. Every change of a
job is announced by the database in the transaction that makes it, so an answer is kept until the
next announcement for its job, and for a second at most.
"""

from __future__ import annotations

import time
import uuid
from collections import OrderedDict
from dataclasses import dataclass

MAX_AGE_SECONDS = 1.0
MAX_ENTRIES = 10_000


@dataclass(frozen=True)
class _Entry:
    body: bytes
    until: float
    seer: str | None


class StatusCache:
    """Kept answers. For the event loop's thread only."""

    def __init__(self) -> None:
        self._entries: OrderedDict[uuid.UUID, _Entry] = OrderedDict()
        self._upload_of: dict[uuid.UUID, uuid.UUID] = {}
        self._listening = False
        self.changes = 0
        """Counts announcements; an answer read before the latest one must not be kept."""

    def get(self, job_id: uuid.UUID, seer: str | None = None) -> bytes | None:
        """The answer, if it is kept, still true, and was given to this seer (``Owner.scope``)."""
        entry = self._entries.get(job_id)
        if entry is None or entry.seer != seer or entry.until < time.monotonic():
            return None
        return entry.body

    def put(
        self,
        job_id: uuid.UUID,
        body: bytes,
        changes: int,
        processing: uuid.UUID | None,
        seer: str | None = None,
    ) -> None:
        """Keeps an answer that was read when ``changes`` was the count.

        ``processing`` is the other job that it tells about, if any.
        """
        if not self._listening or changes != self.changes:
            return
        if processing is not None:
            self._upload_of[processing] = job_id
        self._entries[job_id] = _Entry(body, time.monotonic() + MAX_AGE_SECONDS, seer)
        self._entries.move_to_end(job_id)
        while len(self._entries) > MAX_ENTRIES:
            self._entries.popitem(last=False)
        while len(self._upload_of) > MAX_ENTRIES:
            self._upload_of.pop(next(iter(self._upload_of)))

    def changed(self, job_id: uuid.UUID) -> None:
        """The database announced a change of this job."""
        self.changes += 1
        self._entries.pop(job_id, None)
        upload = self._upload_of.get(job_id)
        if upload is not None:
            self._entries.pop(upload, None)

    def clear(self) -> None:
        """Forgets all: after a change made here, whose announcement is still on its way."""
        self.changes += 1
        self._entries.clear()

    def listen(self, listening: bool) -> None:
        """Nothing is kept while announcements cannot be heard."""
        self._listening = listening
        self.clear()
