"""What the processes of the service agree on."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from detect_api.db.tables.base import Base


class Lease(Base):
    """Who may do a thing that one process at a time should do, and until when.

    A lease, unlike a lock, runs out by itself when its holder freezes.
    """

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    until: Mapped[datetime]


class OldestVersion(Base):
    """The oldest version whose statements this database still understands.

    One row, moved on by migrations that take something away. ``revision`` is the newest one that a
    version brings: a version that brings an older one must not work with this database.
    """

    __tablename__ = "oldest_version"

    revision: Mapped[str] = mapped_column(primary_key=True)
