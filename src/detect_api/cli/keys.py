"""``detect-api keys``: who may use the API."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detect_api.cli import app
from detect_api.cli.output import fail, say
from detect_api.cli.process import AsJson
from detect_api.cli.settings import settings_from

if TYPE_CHECKING:
    from detect_api.db.session import SessionFactory

keys = typer.Typer(no_args_is_help=True, help="Make, list and revoke the API's keys.")
app.add_typer(keys, name="keys")

DataDir = Annotated[
    Path | None,
    typer.Option(help="Where the service's data lie; overrides DATA_DIR.", show_default=False),
]
_UNITS = {"m": 60, "h": 3600, "d": 86400}


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for; shown in lists and logs.")],
    scopes: Annotated[
        str, typer.Option(help="Some of upload, read, metrics and admin, separated by commas.")
    ] = "upload,read",
    tenant: Annotated[
        str, typer.Option(help="Whose key it is; tenants see nothing of each other.")
    ] = "default",
    expires: Annotated[
        str | None,
        typer.Option(help="How long it is valid, such as 12h or 90d; else until it is revoked."),
    ] = None,
    rate: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Requests a minute.")
    ] = None,
    jobs_per_day: Annotated[int | None, typer.Option(min=1, help="Jobs in 24 hours.")] = None,
    jobs_at_once: Annotated[
        int | None, typer.Option(min=1, help="Jobs and uploads that have not ended.")
    ] = None,
    bytes_per_day: Annotated[
        int | None, typer.Option(min=1, help="Bytes of video in 24 hours.")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and show it, this once."""
    from detect_api.core.errors import DetectApiError
    from detect_api.services import key_service

    seconds = _seconds(expires, as_json)
    wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]
    limits = key_service.Limits(rate, jobs_per_day, jobs_at_once, bytes_per_day)
    try:
        with _database(data_dir, as_json) as sessions, sessions.begin() as session:
            row, secret = key_service.create(
                session, name=name, tenant=tenant, scopes=wanted, expires_in_seconds=seconds,
                limits=limits,
            )  # fmt: skip
            shown = key_service.view(row, row.created_at)
    except DetectApiError as error:
        raise fail(error.detail, code=error.code, as_json=as_json) from None
    if as_json:
        sys.stdout.write(json.dumps({"key": secret, **shown}) + "\n")
        return
    sys.stdout.write(secret + "\n")
    say("Keep it now: it is not shown again. From the first key on, every request needs one.")


@keys.command("list")
def list_keys(
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List the keys, without their secrets."""
    from detect_api.services import key_service

    with _database(data_dir, as_json) as sessions, sessions() as session:
        found = key_service.listed(session, tenant)
    if as_json:
        for key in found:
            sys.stdout.write(json.dumps(key) + "\n")
        return
    _print_table(found)


@keys.command()
def revoke(
    key: Annotated[str, typer.Argument(help="The key's id, or its beginning as list shows it.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a key, with the sessions and upload tokens made with it; within 5 seconds."""
    from detect_api.core.errors import DetectApiError
    from detect_api.services import key_service

    try:
        with _database(data_dir, as_json) as sessions, sessions.begin() as session:
            rows = key_service.revoke(session, key)
            found = [key_service.view(row, row.created_at) for row in rows]
    except DetectApiError as error:
        raise fail(error.detail, code=error.code, as_json=as_json) from None
    for shown in found:
        sys.stdout.write(
            (json.dumps(shown) if as_json else f"Revoked {shown['prefix']} ({shown['name']})")
            + "\n"
        )


def _print_table(found: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    if not found:
        say("No keys.")
        return
    table = Table("Key", "Name", "Tenant", "Scopes", "State", "Last used", "Id", box=None)
    for key in found:
        table.add_row(
            key["prefix"], key["name"], key["tenant"], ",".join(key["scopes"]), key["state"],
            key["last_used_at"] or "never", key["key_id"],
        )  # fmt: skip
    Console(highlight=False).print(table)


def _seconds(text: str | None, as_json: bool) -> int | None:
    if text is None:
        return None
    match = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", text)
    if match is None:
        raise fail("--expires takes a number and m, h or d, such as 90d.", code="usage",
                   as_json=as_json)  # fmt: skip
    return int(match[1]) * _UNITS[match[2]]


@contextmanager
def _database(data_dir: Path | None, as_json: bool) -> Iterator[SessionFactory]:
    """The service's database: that of DATABASE_URL, or the embedded one, running or not."""
    from sqlalchemy.exc import SQLAlchemyError

    from detect_api.db.migrate import upgrade
    from detect_api.db.schema import DatabaseVersion
    from detect_api.db.session import make_engine, make_session_factory
    from detect_api.local.layout import StackError

    settings = settings_from(data_dir=data_dir)
    try:
        with _url(settings) as url:
            upgrade(url)
            engine = make_engine(url, pool_size=1)
            try:
                yield make_session_factory(engine)
            finally:
                engine.dispose()
    except DatabaseVersion as error:
        raise fail(error.detail, code=error.code, as_json=as_json) from None
    except (StackError, SQLAlchemyError) as error:
        told = str(error) if isinstance(error, StackError) else "The database does not answer."
        raise fail(told, code="database_unavailable", as_json=as_json) from None


@contextmanager
def _url(settings: Any) -> Iterator[str]:
    from detect_api.local.layout import StackError
    from detect_api.local.stack import Stack, attach

    if settings.database_url is not None:
        yield settings.database_url
        return
    # Without storage and API: only the database is started, if the service does not run.
    stack = Stack(settings.model_copy(update={"enable_s3": False}), api=False)
    try:
        stack.start()
    except StackError:
        attached = attach(settings).database_url
        if attached is None:
            raise
        yield attached
        return
    try:
        yield stack.database_url
    finally:
        stack.stop()
