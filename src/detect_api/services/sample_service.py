"""The sample clip as a job, for somebody who has no video at hand."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import Any

from detect_api.core.config import MIB, Settings
from detect_api.core.errors import DetectApiError, StorageError
from detect_api.core.ids import new_id
from detect_api.db.session import SessionFactory
from detect_api.services.upload_service import Upload
from detect_api.storage.base import ObjectStore

FILENAME = "sample.mp4"
ROUTE = "sample"
PARAMETERS: dict[str, Any] = {"frame_skip": 1}

_drawing = threading.Lock()


def process_sample(
    settings: Settings, sessions: SessionFactory, store: ObjectStore, idempotency_key: str | None
) -> dict[str, Any]:
    """Creates a job that reads the sample clip; returns the answer for the client.

    The job and its video are like any other's: they can be deleted. The clip is drawn once and
    kept in DATA_DIR. Raises StorageError.
    """
    clip = _clip(settings.data_dir / "cache")
    upload = Upload(
        settings=settings.model_copy(update={"max_file_size": len(clip)}),
        sessions=sessions,
        store=store,
        job_id=new_id(),
        filename=FILENAME,
        content_type="video/mp4",
        expected=len(clip),
    )
    try:
        upload.start(ROUTE, idempotency_key)
        for start in range(0, len(clip), MIB):
            upload.write(clip[start : start + MIB])
        return upload.finish(PARAMETERS, ROUTE, idempotency_key)
    except DetectApiError as error:
        upload.give_up(error.code, error.detail)
        raise


def _clip(folder: Path) -> bytes:
    """The clip's bytes. The first call draws it, which takes a few seconds."""
    # The number is that of the drawing: a changed clip is drawn anew.
    path = folder / "sample-1.mp4"
    with _drawing:
        try:
            if not path.exists():
                _draw(path)
            return path.read_bytes()
        except OSError as error:
            raise StorageError(
                f"The sample cannot be kept under DATA_DIR ({error.strerror})."
            ) from error


def _draw(path: Path) -> None:
    # Drawing needs libraries that the API otherwise does without.
    from detect_api.vision.sample import make_sample

    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        drawn = Path(folder) / path.name
        make_sample(drawn)
        # In one step: another process finds the whole clip or none.
        drawn.replace(path)
