"""Brings the database that ``DATABASE_URL`` names to this version's tables, and exits."""

from __future__ import annotations

import sys

from detect_api.core.config import Settings
from detect_api.core.errors import Unavailable
from detect_api.core.logging import configure_logging
from detect_api.db.migrate import upgrade
from detect_api.db.session import make_engine, make_session_factory
from detect_api.services.key_service import check_keys


def main() -> None:
    settings = Settings()
    configure_logging(settings)
    if not settings.database_url:
        sys.exit("DATABASE_URL is not set.")
    upgrade(settings.database_url)
    engine = make_engine(settings.database_url, pool_size=1)
    try:
        # Said here, where the service is being started, and not first by an API that dies.
        check_keys(settings, make_session_factory(engine))
    except Unavailable as error:
        sys.exit(error.detail)
    finally:
        engine.dispose()


if __name__ == "__main__":
    main()
