"""Brings the database that ``DATABASE_URL`` names to this version's tables, and exits."""

from __future__ import annotations

import sys

from detect_api.core.config import Settings
from detect_api.core.logging import configure_logging
from detect_api.db.migrate import upgrade
from detect_api.db.schema import DatabaseVersion


def main() -> None:
    settings = Settings()
    configure_logging(settings)
    if not settings.database_url:
        sys.exit("DATABASE_URL is not set.")
    try:
        upgrade(settings.database_url)
    except DatabaseVersion as error:
        sys.exit(error.detail)


if __name__ == "__main__":
    main()
