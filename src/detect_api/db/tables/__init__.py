"""The tables, one class each. ``migrations/`` creates them; a test compares the two."""

from __future__ import annotations

from detect_api.db.tables.access import ApiKey, AuditEntry
from detect_api.db.tables.base import Base
from detect_api.db.tables.jobs import Event, Job, Redaction, Segment
from detect_api.db.tables.plates import Plate, UnreadTrack
from detect_api.db.tables.privacy import Receipt, Removal, ServiceKey
from detect_api.db.tables.processes import Lease, OldestVersion
from detect_api.db.tables.uploads import IdempotencyKey, PartChecksum, TusPart, TusUpload
from detect_api.db.tables.webhooks import WebhookDelivery

__all__ = [
    "ApiKey",
    "AuditEntry",
    "Base",
    "Event",
    "IdempotencyKey",
    "Job",
    "Lease",
    "OldestVersion",
    "PartChecksum",
    "Plate",
    "Receipt",
    "Redaction",
    "Removal",
    "Segment",
    "ServiceKey",
    "TusPart",
    "TusUpload",
    "UnreadTrack",
    "WebhookDelivery",
]
