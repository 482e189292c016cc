"""What a bucket's event message says: which objects were created.

Four shapes are understood: S3's own (``Records``, which MinIO and others send, too), EventBridge's
(``detail``), either of them wrapped by SNS (``Message``), and the test that S3 sends when
notifications are set up. A message is a hint and no more: whoever acts on it asks storage.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote_plus

from detect_api.core.errors import InvalidRequest

MAX_MESSAGE_BYTES = 256 * 1024
"""No message of SQS, SNS or EventBridge is longer."""

MAX_RECORDS = 100
"""S3 sends one record a message; some stores gather a few."""

_MAX_KEY_BYTES = 1024
_CREATED = "ObjectCreated"


def created_keys(message: str | bytes, bucket: str) -> list[str]:
    """The keys of objects that were created in ``bucket``, each once, in the message's order.

    Other events and other buckets are passed over. Raises InvalidRequest (``bad_event``) for what
    is no event message.
    """
    body = _unwrapped(_parsed(message))
    if body.get("Event") == "s3:TestEvent":
        return []
    if "detail" in body:
        named = [_of_eventbridge(body)]
    elif isinstance(body.get("Records"), list):
        records = body["Records"]
        if len(records) > MAX_RECORDS:
            raise _bad(f"it has more than {MAX_RECORDS} records")
        named = [_of_record(record) for record in records]
    else:
        raise _bad("it has neither Records nor detail")
    return list(dict.fromkeys(key for where, key in filter(None, named) if where == bucket))


def _bad(reason: str) -> InvalidRequest:
    return InvalidRequest(
        f"The message is no event of an S3 bucket: {reason}. Send S3's own JSON, or EventBridge's.",
        code="bad_event",
    )


def _parsed(message: str | bytes) -> dict[str, Any]:
    if len(message) > MAX_MESSAGE_BYTES:
        raise _bad(f"it is longer than {MAX_MESSAGE_BYTES} bytes")
    try:
        body = json.loads(message)
    except (ValueError, RecursionError):
        raise _bad("it is not JSON") from None
    if not isinstance(body, dict):
        raise _bad("it is not a JSON object")
    return body


def _unwrapped(body: dict[str, Any]) -> dict[str, Any]:
    """The event in a notification of SNS; what is no notification stays as it is."""
    inner = body.get("Message")
    if body.get("Type") == "Notification" and isinstance(inner, str):
        return _parsed(inner)
    return body


def _of_eventbridge(body: dict[str, Any]) -> tuple[str, str] | None:
    """Bucket and key of an EventBridge event, whose keys are plain; None for other events."""
    if body.get("detail-type") != "Object Created":
        return None
    detail = body["detail"]
    return _text(detail, "bucket", "name"), _key(_text(detail, "object", "key"))


def _of_record(record: object) -> tuple[str, str] | None:
    """Bucket and key of S3's own record, whose keys are encoded as in a form."""
    name = _text(record, "eventName").removeprefix("s3:")
    if name.partition(":")[0] != _CREATED:
        return None
    try:
        key = unquote_plus(_text(record, "s3", "object", "key"), errors="strict")
    except UnicodeDecodeError:
        raise _bad("a key is not UTF-8") from None
    return _text(record, "s3", "bucket", "name"), _key(key)


def _text(body: object, *path: str) -> str:
    for name in path:
        body = body.get(name) if isinstance(body, dict) else None
    if not isinstance(body, str):
        raise _bad(f"{'.'.join(path)} is missing")
    return body


def _key(key: str) -> str:
    """The key, if an object can have it."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise _bad("a key is not UTF-8") from None
    if not 0 < size <= _MAX_KEY_BYTES or "\0" in key:
        raise _bad("a key has no name that an object can have")
    return key
