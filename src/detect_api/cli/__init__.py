"""The ``detect-api`` command. Each module of this package is one or a few words of it.

Modules import what is heavy inside their commands, so that ``detect-api --help`` is quick.
"""

from __future__ import annotations

import typer

app = typer.Typer(
    name="detect-api",
    help="Read the number plates in large traffic videos.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Entry point of the ``detect-api`` command."""
    app()
