"""The API process: uvicorn on a socket that the supervisor opened.

The socket outlives this process, so that requests wait, and none is refused, while an API that
died is started again.
"""

from __future__ import annotations

import os
import socket
import sys

import uvicorn

from detect_api.app import create_app
from detect_api.core.config import Settings
from detect_api.core.errors import Unavailable
from detect_api.core.logging import configure_logging
from detect_api.db.schema import await_fit

GRACE_SECONDS = 5
DESCRIPTOR = "LISTEN_DESCRIPTOR"


def main() -> None:
    settings = Settings()
    configure_logging(settings)
    try:
        await_fit(settings.database_url)
    except Unavailable as error:
        sys.exit(error.detail)
    config = uvicorn.Config(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    descriptor = os.environ.get(DESCRIPTOR)
    sockets = [socket.socket(fileno=int(descriptor))] if descriptor else None
    uvicorn.Server(config).run(sockets=sockets)


if __name__ == "__main__":
    main()
