"""``detect-api receipts``: checking what a service has signed about a deletion."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from detect_api.cli import app
from detect_api.cli.output import fail, say
from detect_api.cli.process import AsJson
from detect_api.cli.remote import DEFAULT_URL, Url

receipts = typer.Typer(no_args_is_help=True, help="Receipts of deletions.")
app.add_typer(receipts, name="receipts")


@receipts.command()
def verify(
    receipt: Annotated[
        Path, typer.Argument(help="A receipt as GET /receipts/{id} gave it, in a file; - reads it.")
    ],
    key: Annotated[
        str | None,
        typer.Option(help="Public key, in Base64. Without it the server is asked for its own."),
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Check that a receipt is finished, signed by the service and unchanged.

    Exit status 1 if it is not.
    """
    from detect_api.core import signing

    try:
        found = json.loads(sys.stdin.read() if str(receipt) == "-" else receipt.read_text())
        document, signature = found["document"], found["signature"]
        content = json.loads(document) if document is not None else None
    except OSError as error:
        raise fail(
            f"{receipt} cannot be read ({error.strerror}).", code="file", as_json=as_json
        ) from None
    except (ValueError, KeyError, TypeError):
        raise fail(
            f"{receipt} is no receipt: save the answer of GET /receipts/{{id}} as it is.",
            code="receipt_unusable",
            as_json=as_json,
        ) from None
    if content is None or signature is None:
        raise fail(
            "The receipt is still open: what it tells of is not all gone yet.",
            code="receipt_open",
            as_json=as_json,
        )
    public = key or _key_of(url, as_json)
    try:
        signed = signing.is_signed(public, document, signature)
    except ValueError:
        raise fail(
            "The key is none: pass public_key of GET /receipts/key.",
            code="receipt_unusable",
            as_json=as_json,
        ) from None
    shown = {name: found.get(name) for name in content if name != "key_id"}
    told = {name: value for name, value in content.items() if name != "key_id"}
    if not signed or shown != told:
        raise fail(
            "The receipt was changed, or another service signed it.",
            code="receipt_forged",
            as_json=as_json,
        )
    _print(content, as_json)


def _key_of(url: str, as_json: bool) -> str:
    import httpx

    try:
        answer = httpx.get(f"{url.rstrip('/')}/receipts/key", timeout=30).raise_for_status()
        return str(answer.json()["public_key"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        raise fail(
            f"{url} does not tell its key: pass it with --key.", code="no_answer", as_json=as_json
        ) from None


def _print(content: dict[str, Any], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(content) + "\n")
        return
    rows = ", ".join(f"{count} {name}" for name, count in content["rows"].items() if count)
    objects = sum(entry["removed"] for entry in content["objects"])
    say(f"Signed and unchanged. Removed: {rows or 'no rows'}; {objects} objects.")
