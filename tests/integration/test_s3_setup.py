"""``detect-api s3 setup`` and ``s3 check`` on a real SeaweedFS, and on the calls it does support.

What only AWS has is in ``tests/unit/test_aws_setup.py``.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from detect_api.aws import check
from detect_api.aws.bucket import set_up
from detect_api.aws.check import s3_checks
from detect_api.aws.converge import Change
from detect_api.aws.forms import FORGERIES
from detect_api.aws.wanted import Wanted
from detect_api.cli import app
from detect_api.core.config import Settings
from detect_api.local.checks import Check
from detect_api.local.stack import Stack
from detect_api.storage.s3 import make_client

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ORIGIN = "https://pages.example"


@pytest.fixture
def client(s3: Settings) -> Iterator[S3Client]:
    client = make_client(s3, public=False)
    yield client
    client.close()


@pytest.fixture
def fresh(client: S3Client) -> Iterator[str]:
    """The name of a bucket that is not there; what a test makes of it goes."""
    name = f"setup-{secrets.token_hex(4)}"
    yield name
    if name in buckets(client):
        for version in client.list_object_versions(Bucket=name).get("Versions", []):
            client.delete_object(Bucket=name, Key=version["Key"], VersionId=version["VersionId"])
        client.delete_bucket(Bucket=name)


def buckets(client: S3Client) -> set[str]:
    return {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}


def wanted(bucket: str, **more: Any) -> Wanted:
    return Wanted(bucket, "us-east-1", **{"origins": (ORIGIN,), "expire_days": 7, **more})


def statuses(changes: Iterator[Change]) -> dict[str, str]:
    return {change.name: change.status for change in changes}


CHANGED = ("bucket", "versioning", "encryption", "lifecycle", "CORS")


def test_a_dry_run_shows_everything_and_makes_nothing(client: S3Client, fresh: str) -> None:
    found = statuses(set_up(client, wanted(fresh), dry_run=True))
    assert {found[name] for name in CHANGED} == {"would change"}
    assert fresh not in buckets(client)


def test_a_bucket_is_made_as_wanted_and_a_second_run_changes_nothing(
    client: S3Client, fresh: str
) -> None:
    first = statuses(set_up(client, wanted(fresh)))
    assert {first[name] for name in CHANGED} == {"changed"}
    rules = client.get_bucket_lifecycle_configuration(Bucket=fresh)["Rules"]
    assert {rule["ID"]: rule["Filter"]["Prefix"] for rule in rules} == {
        "detect-api-expire-videos": "videos/2",  # and so not videos/evidence/
        "detect-api-leftovers": "videos/",
    }
    assert client.get_bucket_versioning(Bucket=fresh)["Status"] == "Enabled"
    cors = client.get_bucket_cors(Bucket=fresh)["CORSRules"]
    assert [(rule["AllowedOrigins"], rule["ExposeHeaders"]) for rule in cors] == [
        ([ORIGIN], ["ETag"])
    ]
    second = statuses(set_up(client, wanted(fresh)))
    assert {second[name] for name in CHANGED} == {"unchanged"}


def test_rules_of_others_stay_and_ours_are_brought_up_to_date(client: S3Client, fresh: str) -> None:
    client.create_bucket(Bucket=fresh)
    client.put_bucket_lifecycle_configuration(
        Bucket=fresh,
        LifecycleConfiguration={
            "Rules": [
                {
                    "ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "reports/"},
                    "Expiration": {"Days": 99},
                }
            ]
        },
    )  # fmt: skip
    client.put_bucket_cors(
        Bucket=fresh,
        CORSConfiguration={
            "CORSRules": [{"AllowedOrigins": ["https://theirs"], "AllowedMethods": ["GET"]}]
        },
    )
    list(set_up(client, wanted(fresh, expire_days=7)))
    found = {c.name: c for c in set_up(client, wanted(fresh, expire_days=30))}
    assert found["lifecycle"].status == "changed"
    assert "expire after 7 days" in str(found["lifecycle"].before)
    assert "expire after 30 days" in str(found["lifecycle"].after)
    assert found["CORS"].status == "unchanged"
    rules = client.get_bucket_lifecycle_configuration(Bucket=fresh)["Rules"]
    assert {rule["ID"]: rule["Expiration"].get("Days") for rule in rules} == {
        "theirs": 99, "detect-api-expire-videos": 30, "detect-api-leftovers": None,
    }  # fmt: skip
    origins = [r["AllowedOrigins"] for r in client.get_bucket_cors(Bucket=fresh)["CORSRules"]]
    assert origins == [[ORIGIN], ["https://theirs"]]


def test_expiry_stays_where_it_is_not_named_and_goes_with_0(client: S3Client, fresh: str) -> None:
    def prefixes() -> list[str]:
        rules = client.get_bucket_lifecycle_configuration(Bucket=fresh)["Rules"]
        return sorted(rule["Filter"]["Prefix"] for rule in rules)

    list(set_up(client, wanted(fresh, expire_days=7, expire_picture_days=30)))
    assert prefixes() == ["videos/", "videos/2", "videos/evidence/"]
    assert statuses(set_up(client, wanted(fresh, expire_days=None)))["lifecycle"] == "unchanged"
    list(set_up(client, wanted(fresh, expire_days=0)))
    assert prefixes() == ["videos/", "videos/evidence/"]


def test_calls_that_make_buckets_here_are_not_sent(client: S3Client, fresh: str) -> None:
    """SeaweedFS answers bucket logging and acceleration by creating the bucket."""
    before = buckets(client)
    logs = f"{fresh}-logs"
    found = statuses(set_up(client, wanted(fresh, accelerate=True, log_bucket=logs)))
    assert found["acceleration"] == found["access log"] == "not on this store"
    assert found["public-access block"] == "not on this store"
    assert buckets(client) == before | {fresh}


def test_the_command_says_before_and_after_and_then_that_all_is_well(
    s3: Settings, fresh: str, client: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(s3, monkeypatch)
    words = ["s3", "setup", "--bucket", fresh, "--origin", ORIGIN, "--expire-days", "7"]
    outcome = CliRunner().invoke(app, words)
    assert outcome.exit_code == 0, outcome.output
    assert "was nothing" in outcome.stdout
    assert "videos/2: expire after 7 days" in outcome.stdout
    outcome = CliRunner().invoke(app, words)
    assert outcome.exit_code == 0
    assert "Nothing changed" in outcome.stderr
    outcome = CliRunner().invoke(app, [*words, "--json"])
    assert json.loads(outcome.stdout)["changed"] == 0
    outcome = CliRunner().invoke(app, [*words, "--accelerate"])
    assert outcome.exit_code == 1  # it was asked for and is not there
    assert "not on this store" in outcome.stdout


def use(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts the store into the environment, as an operator would."""
    assert settings.aws_secret_access_key
    for name, value in (
        ("ENABLE_S3", "true"),
        ("S3_ENDPOINT_URL", settings.s3_endpoint_url),
        ("S3_BUCKET_NAME", settings.s3_bucket_name),
        ("AWS_ACCESS_KEY_ID", settings.aws_access_key_id),
        ("AWS_SECRET_ACCESS_KEY", settings.aws_secret_access_key.get_secret_value()),
    ):
        monkeypatch.setenv(name, str(value))


# -- check ----------------------------------------------------------------------------------


def run_check(settings: Settings, *origins: str) -> list[Check]:
    return list(s3_checks(settings, origins=origins, thorough=True))


def failed(checks: list[Check]) -> dict[str, str]:
    return {one.name: one.advice for one in checks if one.status == "fail"}


def left_in(settings: Settings) -> list[str]:
    client = make_client(settings, public=False)
    bucket = str(settings.s3_bucket_name)
    found = client.list_objects_v2(Bucket=bucket, Prefix="videos/check-").get("Contents", [])
    uploads = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    client.close()
    begun = [upload["Key"] for upload in uploads if upload["Key"].startswith("videos/check-")]
    return [item["Key"] for item in found] + begun


def test_every_forbidden_form_is_tried_and_nothing_is_left(s3: Settings) -> None:
    checks = run_check(s3)
    assert failed(checks) == {}
    forged = {one.name: one.status for one in checks if "forged POST" in one.name}
    assert len(forged) == 19
    # Known of SeaweedFS; AWS refuses them.
    assert {name for name, status in forged.items() if status == "warn"} == {
        "S3 forged POST: public ACL", "S3 forged POST: unsigned field",
    }  # fmt: skip
    assert left_in(s3) == []


@contextmanager
def denied(client: S3Client, bucket: str, *actions: str) -> Iterator[None]:
    """A bucket whose policy forbids these to everybody."""
    client.create_bucket(Bucket=bucket)
    deny = {
        "Effect": "Deny", "Principal": "*", "Action": list(actions),
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
    }  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    client.put_bucket_policy(Bucket=bucket, Policy=policy)
    try:
        yield
    finally:
        client.delete_bucket_policy(Bucket=bucket)


@pytest.mark.parametrize(
    "lines",
    [
        {"S3 signed PUT": "s3:PutObject", "S3 multipart: begin": "s3:PutObject"},
        {
            "S3 HEAD": "s3:GetObject",
            "S3 ranged GET": "s3:GetObject",
            "S3 signed GET": "s3:GetObject",
        },
        {
            "S3 delete": "s3:DeleteObject",
            "S3 multipart: abort": "s3:AbortMultipartUpload",
            "S3 multipart: list parts": "s3:ListMultipartUploadParts",
            "S3 multipart: list uploads": "s3:ListBucketMultipartUploads",
        },
        {"S3 bucket": "s3:ListBucket"},
    ],
    ids=["put", "get", "others", "bucket"],
)
def test_missing_permissions_are_named_and_no_others(
    s3: Settings, client: S3Client, fresh: str, lines: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(check, "FORGERIES", ())  # which are slow, and tried elsewhere
    settings = s3.model_copy(update={"s3_bucket_name": fresh})
    with denied(client, fresh, *set(lines.values())):
        found = failed(run_check(settings))
    there = left_in(settings)
    empty(client, fresh)
    clean_up = found.pop("S3 clean-up", None)
    assert {name.removesuffix(f" {fresh}") for name in found} == set(lines)
    for name, advice in found.items():
        assert lines[name.removesuffix(f" {fresh}")] in advice
    assert (clean_up is not None) == bool(there) == ("S3 delete" in lines)


def empty(client: S3Client, bucket: str) -> None:
    for item in client.list_objects_v2(Bucket=bucket).get("Contents", []):
        client.delete_object(Bucket=bucket, Key=item["Key"])
    for upload in client.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
        client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])


def test_what_could_not_be_removed_is_named_and_not_held_against_the_next_run(
    s3: Settings, client: S3Client, fresh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "FORGERIES", FORGERIES[-1:])  # one that this store takes
    settings = s3.model_copy(update={"s3_bucket_name": fresh})
    with denied(client, fresh, "s3:DeleteObject"):
        checks = {one.name: one for one in run_check(settings)}
        assert set(failed(run_check(settings))) == {"S3 delete", "S3 clean-up"}
    named = [key for key in left_in(settings) if key in checks["S3 clean-up"].detail]
    assert len(named) == checks["S3 clean-up"].detail.count("videos/check-")
    assert named
    empty(client, fresh)


def test_origins_of_the_set_up_pass_and_others_fail(
    s3: Settings, client: S3Client, fresh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "FORGERIES", ())
    list(set_up(client, wanted(fresh)))
    use(s3.model_copy(update={"s3_bucket_name": fresh}), monkeypatch)
    words = ["s3", "check", "--origin", ORIGIN, "--origin", "https://other.example"]
    outcome = CliRunner().invoke(app, words)
    assert outcome.exit_code == 1
    assert "1 of" in outcome.stdout
    settings = s3.model_copy(update={"s3_bucket_name": fresh})
    found = failed(run_check(settings, ORIGIN, "https://other.example"))
    assert set(found) == {"S3 CORS https://other.example"}
    client.put_bucket_cors(
        Bucket=fresh,
        CORSConfiguration={
            "CORSRules": [{"AllowedOrigins": [ORIGIN], "AllowedMethods": ["GET", "PUT", "POST"],
                           "AllowedHeaders": ["*"]}]
        },
    )  # fmt: skip
    checks = {one.name: one for one in run_check(settings, ORIGIN)}
    assert "ETag" in checks[f"S3 CORS {ORIGIN}"].detail


def test_the_command_tries_the_stack_that_runs(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(stack.layout.root))
    monkeypatch.setenv("PORT", stack.api_url.rsplit(":", 1)[1])
    outcome = CliRunner().invoke(app, ["s3", "check", "--json"])
    report = json.loads(outcome.stdout)
    assert outcome.exit_code == 0, report
    assert report["ok"]
    assert left_in(stack.settings) == []


def test_without_a_store_the_command_says_what_to_set(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    outcome = CliRunner().invoke(app, ["s3", "check", "--json"])
    assert outcome.exit_code == 2
    assert json.loads(outcome.stdout)["error"]["code"] == "usage"


def test_a_set_up_without_keys_or_without_an_answer_says_what_to_set(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("S3_ENDPOINT_URL", "http://127.0.0.1:1")
    words = ["s3", "setup", "--bucket", "your-videos", "--dry-run"]
    outcome = CliRunner().invoke(app, words)
    assert outcome.exit_code == 1
    assert "AWS_ACCESS_KEY_ID" in outcome.output
    assert "Nothing" not in outcome.output
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    outcome = CliRunner().invoke(app, words)
    assert outcome.exit_code == 1
    assert "check aws_region" in " ".join(outcome.output.lower().split())
