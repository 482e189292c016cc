"""Keys for tests, and requests with them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from detect_api.services import key_service
from tests.integration.conftest import Api

WAIT_SECONDS = 60.0
TUS = {"Tus-Resumable": "1.0.0"}
PRESIGN = "/process/video/upload/s3/presigned-url"


def key_of(
    api: Api, name: str = "a key", tenant: str = "one", scopes: list[str] | None = None, **more: Any
) -> str:
    """A new key's secret."""
    seconds = more.pop("seconds", None)
    with api.parts.sessions.begin() as session:
        _, secret = key_service.create(
            session, name=name, tenant=tenant, scopes=scopes or ["admin"],
            expires_in_seconds=seconds, limits=key_service.Limits(**more),
        )  # fmt: skip
    return secret


def bearer(secret: str) -> dict[str, str]:
    """The header that carries a secret."""
    return {"Authorization": f"Bearer {secret}"}


def form(name: str = "a.mp4", **more: Any) -> dict[str, Any]:
    """What is said of a video that is to be uploaded."""
    return {"filename": name, "content_type": "video/mp4", **more}


def until(true: Callable[[], bool]) -> None:
    """Returns once it is true."""
    end = time.monotonic() + WAIT_SECONDS
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)
