"""``detect-api migrate``: the database's tables, brought to this version."""

from __future__ import annotations

from typing import Annotated

import typer

from detect_api.cli import app
from detect_api.cli.output import fail
from detect_api.cli.settings import settings_from


@app.command()
def migrate(
    check: Annotated[bool, typer.Option("--check", help="Only say, and change nothing.")] = False,
) -> None:
    """Bring the tables of DATABASE_URL to this version. Run it before the new version starts.

    Versions that are running go on. With --check the exit status is 1 unless this version can work
    with the database as it is.
    """
    from sqlalchemy.exc import SQLAlchemyError

    from detect_api.core.errors import DetectApiError
    from detect_api.db.migrate import look, upgrade

    settings = settings_from()
    if settings.database_url is None:
        raise fail(
            "Set DATABASE_URL. The database that 'detect-api serve' brings along is brought to "
            "its version at each start.",
            code="database_not_configured",
            as_json=False,
        )
    try:
        found = look(settings.database_url) if check else upgrade(settings.database_url)
    except DetectApiError as error:
        raise fail(error.detail, code=error.code, as_json=False) from None
    except SQLAlchemyError as error:
        raise fail(
            f"The database does not answer or refuses ({type(error).__name__}): "
            "'detect-api doctor' says more.",
            code="database_unavailable",
            as_json=False,
        ) from None
    typer.echo(found.detail)
    raise typer.Exit(0 if found.usable else 1)
