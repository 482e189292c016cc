"""Requests made out of the OpenAPI document, fitting and not: none is answered with a 5xx.

``FUZZ_EXAMPLES=500`` makes it longer.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy
from pydantic import SecretStr
from schemathesis import Case, GenerationMode

from tests.integration.conftest import Api, serve
from tests.receiver import SECRET

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "5"))
"""For each operation, with fitting and with unfitting values."""

TIMEOUT_SECONDS = 60


@schemathesis.serializer("application/offset+octet-stream")
def _as_bytes(_context: schemathesis.SerializationContext, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


NOT_THERE = {"/ready"}
"""May say 503: no worker runs here."""

NEED_A_WORKER = {"POST /detect/upload"}
"""Waits for a worker's answer as long as it may."""

MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


@pytest.fixture(scope="module")
def api(database_url: str, s3: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("fuzz")
    yield from serve(
        s3.model_copy(
            update={
                "database_url": database_url,
                "data_dir": folder,
                "s3_events_token": SecretStr("a token of 16 characters"),
                "webhook_secret": SecretStr(SECRET),
            }
        )
    )


def known_values(api: Api) -> dict[str, list[str]]:
    """Ids that mean something, by the name of the parameter that takes them."""
    finished = [api.finished_job(["ABC123", "XYZ789"], unread=1) for _ in range(3)]
    plates = [
        entry["plate_id"]
        for job in finished
        for entry in api.client.get(f"/jobs/{job}/plates").json()["plates"]
    ]
    uploads = [
        api.client.post("/uploads", json={"filename": "a.mp4", "file_size": 9_000_000}).json()[
            "upload_id"
        ]
        for _ in range(3)
    ]
    return {"job_id": finished, "plate_id": plates, "upload_id": uploads}


@pytest.mark.timeout(3600 if EXAMPLES > 20 else 300)
@pytest.mark.filterwarnings("ignore")  # of the library, about the examples it cannot make
def test_no_request_is_answered_with_a_server_error(api: Api) -> None:
    document = api.client.get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    known = known_values(api)
    rng = random.Random(1128)
    problems: list[str] = []
    asked: dict[str, int] = {}

    def ask(case: Case[Any]) -> None:
        for parameter, values in known.items():
            if parameter in (case.path_parameters or {}) and rng.random() < 0.6:
                case.path_parameters[parameter] = rng.choice(values)
        name = f"{case.method} {case.path}"
        asked[name] = asked.get(name, 0) + 1
        problems.extend(judge(case, api.url, name))

    for found in schema.get_all_operations():
        operation = found.ok()  # type: ignore[union-attr]  # our own document is a valid one
        name = f"{operation.method.upper()} {operation.path}"
        if name in NEED_A_WORKER:
            continue
        for mode in MODES:
            try:
                strategy = operation.as_strategy(generation_mode=mode)
            except Exception as error:  # nothing can be wrong with a route that takes nothing
                print(f"{name}: {mode}: {error!r}")
                continue

            try:
                ask_often(strategy, ask)
            except Exception as error:
                if "Unsatisfiable" not in type(error).__name__:
                    raise
    assert not problems, "\n".join(problems[:20])
    assert len(asked) >= 40, asked
    assert api.client.get("/health").status_code == 200


def ask_often(strategy: SearchStrategy[Case[Any]], ask: Callable[[Case[Any]], None]) -> None:
    """Asks with examples of these, the same ones each time."""

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=strategy)
    def each(case: Case[Any]) -> None:
        ask(case)

    each()


def judge(case: Case[Any], url: str, name: str) -> list[str]:
    """What is wrong with the answer to this request."""
    try:
        answer = case.call(base_url=url, timeout=TIMEOUT_SECONDS, allow_redirects=False)
    except requests.exceptions.InvalidHeader:
        return []  # it was never sent
    if answer.status_code == 503 and case.path in NOT_THERE:
        return []
    if answer.status_code < 500:
        if answer.status_code < 400 or case.method == "HEAD":
            return []
        body = answer.json()
        if {"code", "detail", "status"} <= body.keys():
            return []
        return [f"{name}: {answer.status_code} without a code: {answer.text[:300]}"]
    return [f"{name}: {answer.status_code} {answer.text[:300]}\n{case.as_curl_command()}"]
