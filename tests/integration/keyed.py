"""An API that wants keys, keys for it, and things that belong to somebody."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import select, text, update

from detect_api.core.config import Settings
from detect_api.db.migrate import upgrade
from detect_api.db.session import SessionFactory
from detect_api.db.tables import Job, Plate
from detect_api.jobs import states
from detect_api.services import key_service
from tests.integration.conftest import Api, serve
from tests.integration.databases import database

WAIT_SECONDS = 60.0
TUS = {"Tus-Resumable": "1.0.0"}
PRESIGN = "/process/video/upload/s3/presigned-url"
PLATE = "AB12CDE"
"""A plate in every job that ``a_job_of`` makes."""


@contextmanager
def keyed_api(server: str, s3: Settings, folder: Path, **values: Any) -> Iterator[Api]:
    """The API with S3 on a database of its own on this server, which has a key."""
    with database(server) as url:
        upgrade(url)
        settings = s3.model_copy(update={"database_url": url, "data_dir": folder, **values})
        with contextmanager(serve)(settings) as api:
            key_of(api, "first", tenant="default", scopes=["admin"])
            until(lambda: api.client.get("/jobs").status_code == 401)
            yield api


def key_of(api: Api, *given: Any, **more: Any) -> str:
    """A new key's secret; see ``new_key``."""
    return new_key(api.parts.sessions, *given, **more)


def new_key(
    sessions: SessionFactory,
    name: str = "a key",
    tenant: str = "one",
    scopes: list[str] | None = None,
    **more: Any,
) -> str:
    """A new key's secret. ``seconds`` are how long it holds, what else is named its limits."""
    seconds = more.pop("seconds", None)
    with sessions.begin() as session:
        _, secret = key_service.create(
            session, name=name, tenant=tenant, scopes=scopes or ["admin"],
            expires_in_seconds=seconds, limits=key_service.Limits(**more),
        )  # fmt: skip
    return secret


def until(true: Callable[[], bool]) -> None:
    """Returns once it is true."""
    end = time.monotonic() + WAIT_SECONDS
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def bearer(secret: str) -> dict[str, str]:
    """The header that carries a secret."""
    return {"Authorization": f"Bearer {secret}"}


def form(name: str = "a.mp4", **more: Any) -> dict[str, Any]:
    """What is said of a video that is to be uploaded."""
    return {"filename": name, "content_type": "video/mp4", **more}


def a_job_of(api: Api, tenant: str) -> str:
    """A finished job of a tenant, with plates, a picture of an unread one and an event."""
    job_id = api.finished_job([PLATE, "XY34ZZZ"], unread=1)
    with api.parts.sessions.begin() as session:
        session.execute(update(Job).where(Job.id == uuid.UUID(job_id)).values(tenant=tenant))
        states.add_event(session, uuid.UUID(job_id), "plate", {"text": PLATE})
    return job_id


def things_of(api: Api, tenant: str, headers: dict[str, str]) -> dict[str, list[str]]:
    """One of each thing that has an id or a key, by the name of the parameter that takes it.

    ``headers`` have an admin key of the tenant, or nothing where no keys are needed. Of the ids
    of jobs the first is a finished one's, the others an upload's through the API (tus) and one's
    in parts.
    """
    job_id, other = a_job_of(api, tenant), a_job_of(api, tenant)
    upload = api.client.post(
        "/uploads", json={"filename": "a.mp4", "file_size": 10}, headers=headers
    ).json()
    begun = api.client.post(
        "/uploads/tus",
        headers={**headers, **TUS, "Upload-Length": "5", "Upload-Metadata": "filename YS5tcDQ="},
    )
    tus_id = begun.headers["location"].rsplit("/", 1)[1]
    key = api.client.get(f"/jobs/{job_id}", headers=headers).json()["s3_key"]
    api.parts.store.put(key, b"x" * 100, "video/mp4")
    delivery = uuid.uuid4()
    with api.parts.sessions.begin() as session:
        plate_id = session.scalar(
            select(Plate.id).where(Plate.job_id == uuid.UUID(job_id), Plate.text == PLATE)
        )
        session.execute(
            text(
                "INSERT INTO webhook_deliveries (id, job_id, event, url, origin, body) "
                "VALUES (:id, :job, 'video.completed', 'https://x', 'https://x', '{}')"
            ),
            {"id": delivery, "job": job_id},
        )
    gone = api.client.delete(f"/jobs/{other}", headers=headers).json()
    return {
        "job_id": [job_id, tus_id, upload["job_id"]],
        "plate_id": [str(plate_id)],
        "upload_id": [upload["upload_id"]],
        "delivery_id": [str(delivery)],
        "track_id": ["2"],
        "receipt_id": [gone["receipt_id"]],
        "s3_key": [key],
    }
