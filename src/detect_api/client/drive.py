"""What the two ways of running flows have in common."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import httpx

from detect_api.client.errors import ClientError
from detect_api.client.flow import Call

DOWNLOAD_TIMEOUT = httpx.Timeout(60.0, connect=10.0)
"""For each wait on the connection, not for the whole of a download."""


def arguments(call: Call, content: Any) -> dict[str, Any]:
    """A call as httpx takes it, with the body that is read in this driver's own way."""
    headers = dict(call.headers or {})
    if call.body is not None:
        headers["Content-Length"] = str(call.body.size)
    return {
        "method": call.method,
        "url": call.url,
        "json": call.json,
        "params": call.params,
        "headers": headers,
        "content": content,
        "timeout": call.timeout,
    }


def key_header(key: str | None) -> dict[str, str]:
    """The header that carries a key to the API; storage never gets it."""
    return {"Authorization": f"Bearer {key}"} if key else {}


def interrupted() -> ClientError:
    """The error of what was ended from another thread."""
    return ClientError("It was interrupted.", code="interrupted")


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes its place once it was written without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as file:
            yield file
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
