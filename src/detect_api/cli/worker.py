"""``detect-api worker``: one more worker for an existing database and storage."""

from __future__ import annotations

import typer

from detect_api.cli import app
from detect_api.cli.output import fail
from detect_api.cli.settings import settings_from


@app.command()
def worker() -> None:
    """Read videos from the queue of DATABASE_URL until stopped (Ctrl-C or SIGTERM).

    Needs DATABASE_URL and the settings of the storage. A segment that is being read when the
    worker stops goes back to the queue.
    """
    from detect_api.core.errors import Unavailable
    from detect_api.core.logging import configure_logging
    from detect_api.jobs.worker import work

    settings = settings_from()
    if settings.database_url is None:
        raise fail(
            "Set DATABASE_URL to the database of the service. On one machine, "
            "'detect-api serve' starts workers by itself.",
            code="database_not_configured",
            as_json=False,
        )
    if settings.storage_mode == "embedded":
        raise fail(
            "Set S3_BUCKET_NAME and the keys of the storage, or ENABLE_S3=false with the "
            "DATA_DIR of the service.",
            code="storage_not_configured",
            as_json=False,
        )
    configure_logging(settings)
    try:
        status = work(settings)
    except Unavailable as error:
        raise fail(error.detail, code=error.code, as_json=False) from None
    raise typer.Exit(status)
