"""``detect-api keys`` on a database, and the client and the commands with a key."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner, Result

from detect_api.cli import app as commands
from detect_api.client import Client, ClientError
from tests.conftest import make_settings
from tests.integration.conftest import Api, serve


@pytest.fixture(scope="module")
def database(embedded_database: str) -> str:
    """URL of an empty database: the command makes the tables."""
    name = f"command_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(embedded_database, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return embedded_database.rsplit("/", 1)[0] + f"/{name}"


@pytest.fixture(scope="module")
def secret(database: str) -> str:
    """A key that the command made."""
    made = run(
        database, "keys", "create", "gate 3", "--scopes", "read,upload", "--expires", "90d",
        "--rate", "5000", "--json",
    )  # fmt: skip
    assert made.exit_code == 0, made.stderr
    told: dict[str, Any] = json.loads(made.stdout)
    assert (told["scopes"], told["requests_per_minute"]) == (["upload", "read"], 5000)
    return str(told["key"])


@pytest.fixture(scope="module")
def api(database: str, secret: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API on that database."""
    folder: Path = tmp_path_factory.mktemp("command")
    yield from serve(make_settings(enable_s3=False, database_url=database, data_dir=folder))


def run(database: str, *arguments: str, **more: str) -> Result:
    return CliRunner().invoke(commands, arguments, env={"DATABASE_URL": database, **more})


def test_keys_are_listed_without_their_secrets_and_revoked(database: str, secret: str) -> None:
    other = run(database, "keys", "create", "other", "--tenant", "town")
    assert other.exit_code == 0
    assert "not shown again" in other.stderr
    listed = run(database, "keys", "list", "--tenant", "town", "--json").stdout.splitlines()
    assert [json.loads(line)["state"] for line in listed] == ["valid"]
    assert other.stdout.strip() not in run(database, "keys", "list").stdout
    revoked = run(database, "keys", "revoke", other.stdout[:13])
    assert revoked.exit_code == 0, revoked.stderr
    listed = run(database, "keys", "list", "--json").stdout.splitlines()
    states = {json.loads(line)["name"]: json.loads(line)["state"] for line in listed}
    assert states == {"gate 3": "valid", "other": "revoked"}
    assert secret not in "".join(listed)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["create", "x", "--scopes", "everything"], "bad_key"),
        (["create", "x", "--tenant", "A/B"], "bad_key"),
        (["create", "x", "--expires", "soon"], "usage"),
        (["revoke", "da_k_nothing"], "key_not_found"),
    ],
)
def test_what_makes_no_sense_is_refused(database: str, arguments: list[str], code: str) -> None:
    refused = run(database, "keys", *arguments, "--json")
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["error"]["code"] == code


def test_client_and_commands_come_in_with_the_key(
    database: str, secret: str, api: Api, tmp_path: Path
) -> None:
    with Client(api.url) as stranger, pytest.raises(ClientError) as refused:
        list(stranger.jobs())
    assert refused.value.status == 401
    video = tmp_path / "a.mp4"
    video.write_bytes(b"x" * 1000)
    with Client(api.url, key=secret, state=tmp_path) as client:
        job = client.upload(video).job_id
        assert client.job(job)["status"] == "pending"
    shown = run(database, "jobs", "--url", api.url, "--json", DETECT_API_KEY=secret)
    assert shown.exit_code == 0, shown.stderr
    assert json.loads(shown.stdout)["job_id"] == job
    without = run(database, "jobs", "--url", api.url)
    assert without.exit_code == 1
    assert "key" in without.stderr
