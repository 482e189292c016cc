"""The settings, as the commands take them: a mistake in them costs one line, not a traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from detect_api.core.config import Settings


def settings_from(**given: Any) -> Settings:
    """The settings, with the options that were given in place of the environment's.

    Ends the program with status 2 and one line for each setting that makes no sense, or for a file
    ``.env`` that cannot be read.
    """
    from pydantic import ValidationError

    from detect_api.core.config import Settings

    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            name = "_".join(str(part) for part in problem["loc"]).upper()
            typer.echo(f"{name}: {problem['msg']}", err=True)
        raise typer.Exit(2) from None
    except (OSError, UnicodeError) as error:
        typer.echo(
            f"The file .env in this folder cannot be read ({error}): make it readable, in UTF-8, "
            "or move it away.",
            err=True,
        )
        raise typer.Exit(2) from None
