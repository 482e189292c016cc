"""``detect-api jobs``: the jobs of a running server."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detect_api.cli import app
from detect_api.cli.output import EXIT_FAILED, bar, fail, plates_table, say
from detect_api.cli.process import AsJson

if TYPE_CHECKING:
    from detect_api.client import Client

Url = Annotated[
    str, typer.Option(envvar="DETECT_API_URL", help="Address of the detect-api server.")
]
Key = Annotated[
    str | None,
    typer.Option(
        envvar="DETECT_API_KEY", show_envvar=True, show_default=False,
        help="Key of the server, if it wants one.",
    ),
]  # fmt: skip
DEFAULT_URL = "http://127.0.0.1:8000"


def _follow(client: Client, job_id: str, as_json: bool) -> dict[str, Any]:
    with bar("Reading", shown=not as_json) as done:
        for name, data in client.follow(job_id):
            if name == "progress":
                frames = data["frames"]
                done(frames["done"], frames["total"], data["message"])
    outcome = client.job(job_id)
    if "result_url" not in outcome:
        detail = (outcome["error"] or {}).get("detail", outcome["message"])
        _print(outcome, as_json, f"Job {job_id} {outcome['status']}: {detail}")
        return outcome
    result = client.result(job_id)
    if as_json:
        _print({**result, "status": outcome["status"], "error": outcome["error"]}, as_json, "")
        return outcome
    plates_table(result["plates"])
    say(f"{outcome['message']} Job {job_id}")
    return outcome


@app.command()
def jobs(
    job_id: Annotated[str | None, typer.Argument(help="A job; without it, all are listed.")] = None,
    url: Url = DEFAULT_URL,
    key: Key = None,
    status: Annotated[str | None, typer.Option(help="Only jobs in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="So many jobs at most.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", help="Follow the job to its end.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Cancel the job.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Start the job again.")] = False,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete the job, its video, pictures and plates.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List a server's jobs, or show, follow, cancel, retry or delete one.

    Exit status 1 if the server refuses, or if a followed job does not complete.
    """
    from detect_api.client import Client, ClientError

    chosen = [name for name, on in _actions(follow, cancel, retry, delete) if on]
    if len(chosen) > 1:
        raise fail("Choose one of --follow, --cancel, --retry, --delete.", code="usage",
                   as_json=as_json)  # fmt: skip
    if chosen and job_id is None:
        raise fail(f"--{chosen[0]} needs a job id.", code="usage", as_json=as_json)
    try:
        with Client(url, key=key) as client:
            if job_id is None:
                filters: dict[str, str | int] = {"status": status} if status else {}
                _list(client, filters, limit, as_json)
            elif follow:
                if _follow(client, job_id, as_json)["status"] != "completed":
                    raise typer.Exit(EXIT_FAILED)
            elif delete:
                answer = client.delete(job_id)
                _print(answer, as_json, f"Deleted job {job_id}: {answer['deleted']}")
            else:
                action = client.cancel if cancel else client.retry if retry else client.job
                _show(action(job_id), as_json)
    except ClientError as error:
        raise fail(str(error), code=error.code, as_json=as_json) from None


def _actions(follow: bool, cancel: bool, retry: bool, delete: bool) -> list[tuple[str, bool]]:
    return [("follow", follow), ("cancel", cancel), ("retry", retry), ("delete", delete)]


def _list(client: Client, filters: dict[str, str | int], limit: int, as_json: bool) -> None:
    from itertools import islice

    from rich.console import Console
    from rich.table import Table

    found = list(islice(client.jobs(**filters, limit=min(limit, 1000)), limit))
    if as_json:
        for job in found:
            sys.stdout.write(json.dumps(job) + "\n")
        return
    table = Table("Job", "Type", "State", "Done", "Plates", "File", "Created", box=None)
    for job in found:
        table.add_row(
            job["job_id"],
            job["type"],
            job["status"],
            f"{job['progress']:.0%}",
            str(job["plates_found"]),
            job["filename"] or "",
            job["created_at"],
        )
    if found:
        Console(highlight=False).print(table)
    else:
        say("No jobs.")


def _show(job: dict[str, Any], as_json: bool) -> None:
    lines = f"{job['job_id']}  {job['status']}  {job['progress']:.0%}\n{job['message']}"
    _print(job, as_json, lines)


def _print(value: dict[str, Any], as_json: bool, words: str) -> None:
    sys.stdout.write((json.dumps(value) if as_json else words) + "\n")
