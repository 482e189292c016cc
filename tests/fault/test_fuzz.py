"""Requests made out of the OpenAPI document, fitting and not, without keys and with all kinds of
them: none is answered with a 5xx, and none with what its key does not open.

``FUZZ_EXAMPLES=500`` makes it longer.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy
from pydantic import SecretStr
from schemathesis import Case, GenerationMode
from schemathesis.core.transport import Response

from detect_api.core.config import Settings
from detect_api.services import key_service
from tests.integration.conftest import Api, serve
from tests.integration.keyed import PLATE, bearer, key_of, keyed_api, things_of
from tests.receiver import SECRET

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "5"))
"""For each operation, with fitting and with unfitting values."""

TIMEOUT_SECONDS = 60

MORE_SETTINGS: dict[str, Any] = {
    "s3_events_token": SecretStr("a token of 16 characters"),
    "webhook_secret": SecretStr(SECRET),
    "rate_limit_per_minute": 0,
}


@schemathesis.serializer("application/offset+octet-stream")
def _as_bytes(_context: schemathesis.SerializationContext, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


NOT_THERE = {"/ready"}
"""May say 503: no worker runs here."""

NEED_A_WORKER = {"POST /detect/upload"}
"""Waits for a worker's answer as long as it may."""

PUBLIC = {
    "GET /", "GET /health", "GET /ready", "GET /config", "POST /events/s3", "OPTIONS /uploads/tus",
    "OPTIONS /uploads/tus/{job_id}",
}  # fmt: skip
"""For everybody. The bucket's events have a token of their own."""

OWN_SESSION = {"POST /session", "DELETE /session"}
"""Change nothing but the caller's own session."""

SAFE = {"GET", "HEAD", "OPTIONS"}
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)

Known = dict[str, list[str]]
Ask = Callable[[Case[Any], Known], list[str]]
"""Makes the request, and says what is wrong with its answer."""


@pytest.fixture(scope="module")
def api(database_url: str, s3: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("fuzz")
    own = {"database_url": database_url, "data_dir": folder, **MORE_SETTINGS}
    yield from serve(s3.model_copy(update=own))


@pytest.fixture(scope="module")
def keyed(
    embedded_database: str, s3: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("fuzz-keys")
    with keyed_api(embedded_database, s3, folder, **MORE_SETTINGS) as running:
        yield running


# -- without keys -----------------------------------------------------------------------------


@pytest.mark.timeout(3600 if EXAMPLES > 20 else 300)
@pytest.mark.filterwarnings("ignore")  # of the library, about the examples it cannot make
def test_no_request_is_answered_with_a_server_error(api: Api) -> None:
    def ask(case: Case[Any], _known: Known) -> list[str]:
        return [] if named(case) in NEED_A_WORKER else answered(case, api.url)[1]

    walk(api, ask, lambda: things_of(api, "default", {}))


# -- with keys --------------------------------------------------------------------------------

HOLDERS = ("operator", "admin", "upload", "read", "token", "other", "wrong", "none")
"""Whose requests are made: the operator's, those of one tenant's keys with one scope each and of
a token for one upload, another tenant's, a stranger's with a made-up key and one without any."""

MAY_READ = {"admin", "read"}
STRANGERS = {"wrong", "none"}


class Holders:
    """Gives requests keys, and knows what must not be answered to whom."""

    def __init__(self, api: Api) -> None:
        self.url = api.url
        self._sessions = api.parts.sessions
        self._rng = random.Random(1128)
        self.admin = key_of(api, "admin", tenant="one")
        self._keys = {
            "operator": key_of(api, "operator", tenant="default"),
            "admin": self.admin,
            "upload": key_of(api, "upload", tenant="one", scopes=["upload"]),
            "read": key_of(api, "read", tenant="one", scopes=["read"]),
            "other": key_of(api, "other", tenant="two"),
            "wrong": "da_k_aaaaaaaa_" + "b" * 43,
        }
        self.asked: Counter[str] = Counter()
        self.good: Counter[str] = Counter()

    def ask(self, case: Case[Any], known: Known) -> list[str]:
        """Makes the request with one holder's key; returns what is wrong with the answer."""
        holder = self._rng.choice(HOLDERS)
        if named(case) in NEED_A_WORKER and holder not in (*STRANGERS, "read", "token"):
            holder = "none"
        for header in ("authorization", "x-api-key", "cookie"):
            case.headers.pop(header, None)
        case.cookies.clear()
        if holder != "none":
            case.headers.update(bearer(self._secret(holder)))
        answer, problems = answered(case, self.url)
        if answer is not None:
            self.asked[holder] += 1
            self.good[holder] += answer.status_code < 300
            problems += [f"{holder}: {wrong}" for wrong in trespasses(case, holder, answer, known)]
        return problems

    def _secret(self, holder: str) -> str:
        return self._token() if holder == "token" else self._keys[holder]

    def _token(self) -> str:
        """A new one: the last one may be used up."""
        with self._sessions.begin() as session:
            who = key_service.find(session, self._keys["upload"])
            assert who is not None
            return key_service.upload_token(
                session, who, max_file_size=None, content_type=None, expires_in_seconds=600
            )[1]


def trespasses(case: Case[Any], holder: str, answer: Response, known: Known) -> list[str]:
    """What this holder should not have been answered."""
    name, status = named(case), answer.status_code
    said = f"{name}: {status} {answer.text[:300]}"
    found: list[str] = []
    if holder in STRANGERS and name not in PUBLIC and status != 401:
        found.append(f"let in: {said}")
    ids = {one for several in known.values() for one in several if len(one) > 8}
    asked_for = {str(value) for value in case.path_parameters.values()}
    if isinstance(case.body, dict):
        asked_for.add(str(case.body.get("s3_key")))
    if holder in ("operator", "other", "token") and ids & asked_for and status < 400:
        found.append(f"reached what is another one's: {said}")
    seen = PLATE in answer.text or known["plate_id"][0] in answer.text
    if holder not in MAY_READ and seen and status < 400:
        found.append(f"saw a plate: {said}")
    writes = case.method.upper() not in SAFE and name not in PUBLIC | OWN_SESSION
    if holder == "read" and writes and status < 400:
        found.append(f"wrote with a key for reading: {said}")
    return found


@pytest.mark.timeout(3600 if EXAMPLES > 20 else 300)
@pytest.mark.filterwarnings("ignore")
def test_no_key_opens_more_than_it_should(keyed: Api) -> None:
    holders = Holders(keyed)
    mine = bearer(holders.admin)
    walk(keyed, holders.ask, lambda: things_of(keyed, "one", mine))
    print(f"by holder: {dict(holders.asked)}; of them with 2xx: {dict(holders.good)}")
    assert set(holders.asked) == set(HOLDERS)
    # Who has a key gets something with it, or nothing was tried. (A token fits few requests.)
    assert all(holders.good[holder] for holder in ("operator", "admin", "upload", "read", "other"))


# -- both -------------------------------------------------------------------------------------


def walk(api: Api, ask: Ask, things: Callable[[], Known]) -> None:
    """Asks everything that the document describes, often with ids that mean something."""
    document = api.client.get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    rng = random.Random(1128)
    problems: list[str] = []
    asked: Counter[str] = Counter()
    known: Known = {}

    def each(case: Case[Any]) -> None:
        put_in(case, known, rng)
        asked[named(case)] += 1
        problems.extend(ask(case, known))

    for found in schema.get_all_operations():
        operation = found.ok()  # type: ignore[union-attr]  # our own document is a valid one
        if not known:
            known = things()
        for mode in MODES:
            try:
                strategy = operation.as_strategy(generation_mode=mode)
            except Exception as error:  # nothing can be wrong with a route that takes nothing
                print(f"{operation.method.upper()} {operation.path}: {mode}: {error!r}")
                continue
            try:
                ask_often(strategy, each)
            except Exception as error:
                if "Unsatisfiable" not in type(error).__name__:
                    raise
        if operation.method.upper() not in SAFE:
            known = {}  # it may have ended what it was asked for
    print(f"{sum(asked.values())} requests to {len(asked)} operations")
    assert not problems, "\n".join(problems[:20])
    assert len(asked) >= 40, asked
    assert api.client.get("/health").status_code == 200


def named(case: Case[Any]) -> str:
    """The operation, as the document names it."""
    return f"{case.method.upper()} {case.path}"


def put_in(case: Case[Any], known: Known, rng: random.Random) -> None:
    """Puts known ids and keys in the place of most made-up ones."""
    for parameter, values in known.items():
        if parameter in case.path_parameters and rng.random() < 0.6:
            case.path_parameters[parameter] = rng.choice(fitting(case.path, values))
    if isinstance(case.body, dict) and "s3_key" in case.body and rng.random() < 0.6:
        case.body["s3_key"] = rng.choice(known["s3_key"])


def fitting(path: str, ids: list[str]) -> list[str]:
    """Of the known ids those that a path is meant for."""
    if path.startswith("/uploads/tus/"):
        return ids[1:2]
    # The events of what has not ended do not end either.
    return ids[:1] if path.endswith("/events") else ids


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


def answered(case: Case[Any], url: str) -> tuple[Response | None, list[str]]:
    """The answer to this request, if it could be sent, and what is wrong with it."""
    try:
        answer = case.call(base_url=url, timeout=TIMEOUT_SECONDS, allow_redirects=False)
    except requests.exceptions.InvalidHeader:
        return None, []
    return answer, judged(case, answer)


def judged(case: Case[Any], answer: Response) -> list[str]:
    """What nobody should have been answered."""
    name, status = named(case), answer.status_code
    if status == 503 and case.path in NOT_THERE:
        return []
    if status >= 500:
        return [f"{name}: {status} {answer.text[:300]}\n{case.as_curl_command()}"]
    if status < 400 or case.method == "HEAD":
        return []
    body = answer.json()
    if {"code", "detail", "status"} <= body.keys():
        return []
    return [f"{name}: {status} without a code: {answer.text[:300]}"]
