"""What the routes work with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request
from sqlalchemy import Engine

from detect_api.api.broadcast import Broadcast
from detect_api.api.keyring import Keyring
from detect_api.core.config import Settings
from detect_api.core.errors import Unavailable
from detect_api.core.metrics import Metrics
from detect_api.db.session import SessionFactory
from detect_api.services.multipart_service import MultipartService
from detect_api.services.s3_service import S3Service
from detect_api.services.video_links import VideoLinks
from detect_api.storage.base import ObjectStore


@dataclass(frozen=True)
class Parts:
    """The service's parts, made once by ``create_app``.

    ``single`` makes sessions for one statement that is a transaction of its own, in one round
    trip instead of four; a connection that has died is noticed by that statement only. ``s3`` and
    ``multipart`` are None where S3 cannot be used; ``s3_problem`` then says why. ``links`` is
    None there, too: videos are played through the API.
    """

    settings: Settings
    engines: tuple[Engine, ...]
    sessions: SessionFactory
    single: SessionFactory
    store: ObjectStore
    s3: S3Service | None
    multipart: MultipartService | None
    s3_problem: str | None
    links: VideoLinks | None
    broadcast: Broadcast
    metrics: Metrics
    keys: Keyring

    def require_s3(self) -> S3Service:
        """The S3 service. Raises Unavailable, naming the other way to upload."""
        if self.s3 is None:
            raise Unavailable(
                f"{self.s3_problem} Meanwhile upload with POST /process/video/upload/async.",
                code="s3_unavailable",
            )
        return self.s3

    def require_multipart(self) -> MultipartService:
        """The service for uploads in parts. Raises Unavailable, naming the other way to upload."""
        self.require_s3()
        assert self.multipart is not None
        return self.multipart


def get_parts(request: Request) -> Parts:
    """The parts of the app that the request is for."""
    parts: Parts = request.app.state.parts
    return parts


PartsDep = Annotated[Parts, Depends(get_parts)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        description="Any string; a request sent again with the same one changes nothing.",
    ),
]
