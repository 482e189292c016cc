"""The ``detect-api`` command. Each module of this package is one or a few words of it.

Modules import what is heavy inside their commands, so that ``detect-api --help`` is quick.
"""

from __future__ import annotations

from typing import Annotated

import typer

import detect_api

app = typer.Typer(
    name="detect-api",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(detect_api.__version__)
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Read the number plates in large traffic videos."""


# Each module adds its commands to ``app`` when it is imported.
from detect_api.cli import cost as cost  # noqa: E402
from detect_api.cli import demo as demo  # noqa: E402
from detect_api.cli import doctor as doctor  # noqa: E402
from detect_api.cli import evaluate as evaluate  # noqa: E402
from detect_api.cli import keys as keys  # noqa: E402
from detect_api.cli import process as process  # noqa: E402
from detect_api.cli import receipts as receipts  # noqa: E402
from detect_api.cli import remote as remote  # noqa: E402
from detect_api.cli import s3 as s3  # noqa: E402
from detect_api.cli import serve as serve  # noqa: E402
from detect_api.cli import upload as upload  # noqa: E402
from detect_api.cli import worker as worker  # noqa: E402


def main() -> None:
    """Entry point of the ``detect-api`` command."""
    app()
