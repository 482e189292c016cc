"""``detect-api doctor``: tries the parts out, says how to mend them, leaves nothing behind."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from detect_api.aws.check import s3_checks
from detect_api.cli import app
from detect_api.cli.doctor import all_checks
from detect_api.core.config import Settings
from detect_api.local.checks import Check, database_checks
from detect_api.local.stack import Stack
from tests.conftest import make_settings, short_folder


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty data directory that the environment names, and no ``.env``."""
    with short_folder() as path:
        monkeypatch.setenv("DATA_DIR", str(path / "data"))
        monkeypatch.chdir(path)
        yield path / "data"


def run_doctor() -> tuple[int, dict[str, Any]]:
    outcome = CliRunner().invoke(app, ["doctor", "--json"])
    report: dict[str, Any] = json.loads(outcome.stdout)
    return outcome.exit_code, report


def statuses(checks: Iterator[Check]) -> dict[str, str]:
    return {check.name: check.status for check in checks}


def keys(settings: Settings, prefix: str) -> list[str]:
    assert settings.aws_secret_access_key
    assert settings.s3_bucket_name
    client = boto3.client(
        "s3",
        endpoint_url=settings.s3_endpoint_url,
        region_name=settings.aws_region,
        aws_access_key_id=settings.aws_access_key_id,
        aws_secret_access_key=settings.aws_secret_access_key.get_secret_value(),
    )
    try:
        found = client.list_objects_v2(Bucket=settings.s3_bucket_name, Prefix=prefix)
        uploads = client.list_multipart_uploads(Bucket=settings.s3_bucket_name)
        return [item["Key"] for item in found.get("Contents", [])] + [
            upload["Key"] for upload in uploads.get("Uploads", [])
        ]
    finally:
        client.close()


def test_with_nothing_running_a_trial_stack_is_tried_and_nothing_is_left(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "0")
    status, report = run_doctor()
    assert [check for check in report["checks"] if check["status"] != "ok"] == []
    assert status == 0
    assert {"database", "tables", "S3 signed POST", "S3 CORS", "clock"} <= {
        check["name"] for check in report["checks"]
    }
    assert not folder.exists()


def test_the_running_stack_is_found_and_left_as_it_was(
    folder: Path, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(stack.layout.root))
    monkeypatch.setenv("PORT", stack.api_url.rsplit(":", 1)[1])
    status, report = run_doctor()
    assert status == 0, report
    port = next(check for check in report["checks"] if check["name"] == "port")
    assert "detect-api answers" in port["detail"]
    assert keys(stack.settings, "videos/check-") == []


def test_wrong_keys_are_told_from_a_missing_bucket(s3: Settings) -> None:
    origin = "http://127.0.0.1:8000"
    wrong = s3.model_copy(update={"aws_secret_access_key": SecretStr("wrong")})
    found = list(s3_checks(wrong, origins=[origin]))
    assert found[0].status == "fail"
    assert "keys" in found[0].advice
    missing = s3.model_copy(update={"s3_bucket_name": "not-there"})
    found = list(s3_checks(missing, origins=[origin]))
    assert found[0].status == "fail"
    assert "create it" in found[0].advice


def test_an_s3_that_does_not_answer_is_one_failure(s3: Settings) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        nowhere = s3.model_copy(update={"s3_endpoint_url": url})
        found = list(s3_checks(nowhere, origins=["http://127.0.0.1:8000"]))
    assert [check.status for check in found] == ["fail"]
    assert "S3_ENDPOINT_URL" in found[0].advice


def test_pages_of_other_origins_get_a_warning_not_a_failure(stack: Stack) -> None:
    found = statuses(s3_checks(stack.settings, origins=["https://anywhere.example"]))
    assert found.pop("S3 CORS") == "warn"
    assert set(found.values()) == {"ok"}
    assert keys(stack.settings, "videos/check-") == []


def test_a_database_that_does_not_answer_fails_without_its_password(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:sesame@127.0.0.1:9/nothing")
    monkeypatch.setenv("ENABLE_S3", "false")
    status, report = run_doctor()
    assert status == 1
    assert not report["ok"]
    failed = next(check for check in report["checks"] if check["name"] == "database")
    assert failed["status"] == "fail"
    assert "DATABASE_URL" in failed["advice"]
    assert "sesame" not in json.dumps(report)


def test_a_database_without_tables_gets_a_warning(embedded_database: str) -> None:
    with psycopg.connect(embedded_database, autocommit=True) as connection:
        connection.execute("CREATE DATABASE without_tables")
    found = statuses(database_checks(embedded_database.rsplit("/", 1)[0] + "/without_tables"))
    assert found["database"] == "ok"
    assert found["extension pg_trgm"] == "ok"
    assert found["tables"] == "warn"


def test_a_port_in_use_is_named(folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        port = other.getsockname()[1]
        settings = make_settings(
            data_dir=folder, port=port, enable_s3=False, database_url="postgresql://127.0.0.1:9/x"
        )
        found = {check.name: check for check in all_checks(settings)}
    assert found["port"].status == "fail"
    assert str(port) in found["port"].detail


def test_the_table_ends_with_the_verdict(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:9/nothing")
    monkeypatch.setenv("ENABLE_S3", "false")
    outcome = CliRunner().invoke(app, ["doctor"])
    assert outcome.exit_code == 1
    assert "→" in outcome.stdout
    assert "checks failed" in outcome.stdout
