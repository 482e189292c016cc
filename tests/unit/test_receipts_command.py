"""``detect-api receipts verify``, without a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from detect_api.cli import app
from detect_api.core import signing

SEED = bytes(range(32))
KEY = signing.public_key(SEED)


def a_receipt(**changed: Any) -> dict[str, Any]:
    content = {
        "receipt_id": "x", "kind": "job", "subject": {}, "created_at": "a", "finished_at": "b",
        "rows": {"plates": 2}, "objects": [{"prefix": "videos/a.mp4", "removed": 1}],
    }  # fmt: skip
    document = signing.canonical({**content, "key_id": signing.key_id(KEY)})
    signed = {"document": document, "signature": signing.sign(SEED, document)}
    return {**content, "status": "finished", **signed, **changed}


def verify(folder: Path, receipt: object, key: str = KEY) -> tuple[int, dict[str, Any]]:
    path = folder / "receipt.json"
    path.write_text(json.dumps(receipt))
    called = CliRunner().invoke(app, ["receipts", "verify", str(path), "--key", key, "--json"])
    return called.exit_code, json.loads(called.stdout)


def test_a_receipt_that_was_signed_is_taken(tmp_path: Path) -> None:
    status, content = verify(tmp_path, a_receipt())
    assert status == 0
    assert content["rows"] == {"plates": 2}


@pytest.mark.parametrize(
    ("receipt", "key", "code"),
    [
        (a_receipt(rows={"plates": 3}), KEY, "receipt_forged"),
        (a_receipt(document=a_receipt()["document"].replace("2", "3")), KEY, "receipt_forged"),
        (a_receipt(), signing.public_key(bytes(32)), "receipt_forged"),
        (a_receipt(signature="AAAA"), KEY, "receipt_forged"),
        (a_receipt(document=None, signature=None), KEY, "receipt_open"),
        (a_receipt(), "AAAA", "receipt_unusable"),
        ([], KEY, "receipt_unusable"),
        ({"document": "[", "signature": ""}, KEY, "receipt_unusable"),
    ],
)
def test_any_other_is_refused(tmp_path: Path, receipt: object, key: str, code: str) -> None:
    status, told = verify(tmp_path, receipt, key)
    assert (status, told["error"]["code"]) == (1, code)
