"""The calls that only AWS has, against botocore's Stubber: what is sent, in which order.

What SeaweedFS supports is in ``tests/integration/test_s3_setup.py``. No test reaches AWS.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import httpx
import pytest
from typer.testing import CliRunner

from detect_api.aws import check
from detect_api.aws.bucket import set_up
from detect_api.aws.connection import is_aws
from detect_api.aws.converge import Change
from detect_api.aws.policy import service_policy
from detect_api.aws.trial import Trial
from detect_api.aws.wanted import PUBLIC_ACCESS_BLOCK, Wanted, log_rule, log_statement
from detect_api.cli import app
from detect_api.core.errors import InvalidRequest
from detect_api.storage.s3 import make_client
from tests.aws import REGION, Stub, by_name, never, played
from tests.conftest import make_settings

BUCKET, LOGS = "your-videos", "your-logs"
IN_REGION = {"ResponseMetadata": {"HTTPHeaders": {"x-amz-bucket-region": REGION}}}
POLICY = service_policy(BUCKET, "videos/", REGION)


@pytest.fixture
def s3() -> Iterator[Stub]:
    with played("s3") as stubber:
        yield stubber


@pytest.mark.parametrize(
    ("code", "status", "advice"),
    [
        ("AccessDenied", "fail", "Allow s3:ListBucketVersions on your-videos."),
        ("NotImplemented", "warn", "This store keeps no versions of objects."),
        ("InternalError", "fail", "This is not about permissions"),
    ],
)
def test_the_check_names_what_keeps_it_from_listing_versions(
    s3: Stub, code: str, status: str, advice: str
) -> None:
    s3.add_client_error("list_object_versions", code)
    with httpx.Client() as http:
        trial = Trial(s3.client, s3.client, http, BUCKET, "videos/")
        trial.stored = "videos/check-put"
        (step,) = [step for step in check._steps(trial) if step[0] == "S3 versions: list"]
        found = check._without_versions(check._try(trial, *step))
    assert (found.status, found.detail) == (status, f"answered {code}")
    assert advice in found.advice


# -- the bucket -----------------------------------------------------------------------------


class Aws:
    """Queues AWS's answers about one bucket, in the order in which set-up asks."""

    def __init__(self, stub: Stub) -> None:
        self.stub = stub

    def missing(self, operation: str, code: str, status: int = 404) -> None:
        self.stub.add_client_error(operation, code, http_status_code=status)

    def takes(self, operation: str, **parameters: Any) -> None:
        self.stub.add_response(operation, {}, {"Bucket": BUCKET, **parameters})

    def has(self, operation: str, answer: dict[str, Any], bucket: str = BUCKET) -> None:
        self.stub.add_response(operation, answer, {"Bucket": bucket})

    def closed(self) -> None:
        """Public access is blocked, encrypted and versioned."""
        self.has("get_public_access_block", {"PublicAccessBlockConfiguration": PUBLIC_ACCESS_BLOCK})
        self.encrypted("AES256")
        self.has("get_bucket_versioning", {"Status": "Enabled"})

    def encrypted(self, algorithm: str) -> None:
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": algorithm}}
        self.has(
            "get_bucket_encryption",
            {"ServerSideEncryptionConfiguration": {"Rules": [{**rule, "BucketKeyEnabled": True}]}},
        )

    def rules(self, wanted: Wanted) -> None:
        self.has("get_bucket_lifecycle_configuration", {"Rules": wanted.lifecycle_rules()})


def test_a_new_bucket_lies_in_the_region_and_is_closed_to_the_public(s3: Stub) -> None:
    wanted = Wanted(BUCKET, REGION)
    aws = Aws(s3)
    aws.missing("head_bucket", "404")
    aws.takes("create_bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
    aws.missing("get_public_access_block", "NoSuchPublicAccessBlockConfiguration")
    aws.takes("put_public_access_block", PublicAccessBlockConfiguration=PUBLIC_ACCESS_BLOCK)
    aws.encrypted("AES256")
    aws.has("get_bucket_versioning", {})
    aws.takes("put_bucket_versioning", VersioningConfiguration={"Status": "Enabled"})
    aws.missing("get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration")
    aws.takes(
        "put_bucket_lifecycle_configuration",
        LifecycleConfiguration={"Rules": wanted.lifecycle_rules()},
    )
    found = by_name(set_up(s3.client, wanted, pause=never))
    assert found["public-access block"] == Change(
        "public-access block", "changed", None, "all closed"
    )
    assert found["encryption"].status == "unchanged"
    assert "--origin" in found["CORS"].detail


def test_us_east_1_is_no_constraint() -> None:
    client = boto3.client(
        "s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    with Stub(client) as stub:
        aws = Aws(stub)
        aws.missing("head_bucket", "404")
        stub.add_client_error("create_bucket", "AccessDenied", expected_params={"Bucket": BUCKET})
        (change,) = set_up(client, Wanted(BUCKET, "us-east-1"))
    assert change.status == "failed"
    assert "s3:CreateBucket" in change.detail


def test_logging_and_acceleration_are_turned_on_once(s3: Stub) -> None:
    wanted = Wanted(BUCKET, REGION, accelerate=True, log_bucket=LOGS)
    target = {"TargetBucket": LOGS, "TargetPrefix": f"{BUCKET}/"}
    statement = log_statement(BUCKET, LOGS, "aws")
    theirs = {"Sid": "Theirs", "Effect": "Deny", "Principal": "*", "Action": "s3:*"}
    aws = Aws(s3)
    aws.has("head_bucket", IN_REGION)
    aws.closed()
    aws.rules(wanted)
    aws.has("get_bucket_accelerate_configuration", {})
    aws.takes("put_bucket_accelerate_configuration", AccelerateConfiguration={"Status": "Enabled"})
    aws.has("head_bucket", IN_REGION, LOGS)
    policy = {"Version": "2012-10-17", "Statement": theirs}
    aws.has("get_bucket_policy", {"Policy": json.dumps(policy)}, LOGS)
    both = json.dumps({"Version": "2012-10-17", "Statement": [theirs, statement]})
    s3.add_response("put_bucket_policy", {}, {"Bucket": LOGS, "Policy": both})
    aws.has("get_bucket_lifecycle_configuration", {"Rules": [log_rule(BUCKET)]}, LOGS)
    aws.has("get_bucket_logging", {})
    aws.takes("put_bucket_logging", BucketLoggingStatus={"LoggingEnabled": target})
    found = by_name(set_up(s3.client, wanted, pause=never))
    assert found["acceleration"].status == found["access log"].status == "changed"
    assert found["log bucket policy"].before == "Theirs"
    assert found["log lifecycle"].status == "unchanged"

    aws.has("head_bucket", IN_REGION)
    aws.closed()
    aws.rules(wanted)
    aws.has("get_bucket_accelerate_configuration", {"Status": "Enabled"})
    aws.has("head_bucket", IN_REGION, LOGS)
    aws.has("get_bucket_policy", {"Policy": both}, LOGS)
    aws.has("get_bucket_lifecycle_configuration", {"Rules": [log_rule(BUCKET)]}, LOGS)
    aws.has("get_bucket_logging", {"LoggingEnabled": target})
    second = by_name(set_up(s3.client, wanted, pause=never))
    assert {change.status for change in second.values()} == {"unchanged"}


def test_a_dry_run_only_reads(s3: Stub) -> None:
    """The Stubber refuses each call that it does not expect."""
    aws = Aws(s3)
    aws.missing("head_bucket", "404")
    s3.add_client_error("head_bucket", "404", http_status_code=404)
    wanted = Wanted(BUCKET, REGION, origins=("https://a",), accelerate=True, log_bucket=LOGS)
    found = by_name(set_up(s3.client, wanted, dry_run=True))
    assert {change.status for change in found.values()} == {"would change"}
    assert len(found) == 12


def test_what_others_chose_is_kept(s3: Stub) -> None:
    """A KMS key is not taken away, nor a size from which on objects move."""
    wanted = Wanted(BUCKET, REGION)
    size = {"TransitionDefaultMinimumObjectSize": "varies_by_storage_class"}
    theirs = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "x/"},
              "Transitions": [{"Days": 30, "StorageClass": "GLACIER"}]}  # fmt: skip
    aws = Aws(s3)
    aws.has("head_bucket", IN_REGION)
    aws.has("get_public_access_block", {"PublicAccessBlockConfiguration": PUBLIC_ACCESS_BLOCK})
    aws.encrypted("aws:kms")
    aws.has("get_bucket_versioning", {"Status": "Enabled"})
    aws.has("get_bucket_lifecycle_configuration", {"Rules": [theirs], **size})
    aws.takes(
        "put_bucket_lifecycle_configuration",
        LifecycleConfiguration={"Rules": [theirs, *wanted.lifecycle_rules()]}, **size,
    )  # fmt: skip
    found = by_name(set_up(s3.client, wanted))
    assert found["encryption"] == Change("encryption", "unchanged", "aws:kms", "aws:kms")


def test_rules_in_the_old_form_are_put_back_in_todays(s3: Stub) -> None:
    """S3 refuses a prefix outside of a filter as soon as one rule has a filter."""
    wanted = Wanted(BUCKET, REGION)
    old: dict[str, Any] = {"ID": "old", "Status": "Enabled", "Expiration": {"Days": 9}}
    aws = Aws(s3)
    aws.has("head_bucket", IN_REGION)
    aws.closed()
    aws.has("get_bucket_lifecycle_configuration", {"Rules": [{**old, "Prefix": "logs/"}]})
    rules = [{**old, "Filter": {"Prefix": "logs/"}}, *wanted.lifecycle_rules()]
    aws.takes("put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": rules})
    found = by_name(set_up(s3.client, wanted, pause=never))
    assert "logs/: expire after 9 days [old, kept]" in str(found["lifecycle"].after)


def test_one_refusal_names_its_permission_and_does_not_stop_the_rest(s3: Stub) -> None:
    wanted = Wanted(BUCKET, REGION)
    aws = Aws(s3)
    aws.has("head_bucket", IN_REGION)
    aws.missing("get_public_access_block", "AccessDenied", 403)
    aws.encrypted("AES256")
    aws.has("get_bucket_versioning", {})
    aws.missing("put_bucket_versioning", "AccessDenied", 403)
    aws.rules(wanted)
    found = by_name(set_up(s3.client, wanted, pause=never))
    assert "s3:GetBucketPublicAccessBlock" in found["public-access block"].detail
    assert "s3:PutBucketVersioning" in found["versioning"].detail
    assert found["lifecycle"].status == "unchanged"


def test_what_passes_by_itself_is_tried_again_but_not_for_ever(s3: Stub) -> None:
    wanted, waited = Wanted(BUCKET, REGION), list[float]()
    aws = Aws(s3)
    aws.has("head_bucket", IN_REGION)
    aws.closed()
    aws.missing("get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration")
    for _ in range(5):
        aws.missing("put_bucket_lifecycle_configuration", "OperationAborted", 409)
    found = by_name(set_up(s3.client, wanted, pause=waited.append))
    assert found["lifecycle"].status == "failed"
    assert waited == [1.0, 2.0, 4.0, 8.0]


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [("403", 403, "another account"), ("500", 500, "500")],
)
def test_a_bucket_that_cannot_be_seen_ends_it(s3: Stub, code: str, status: int, words: str) -> None:
    Aws(s3).missing("head_bucket", code, status)
    (change,) = set_up(s3.client, Wanted(BUCKET, REGION))
    assert change.status == "failed"
    assert words in change.detail


def test_a_bucket_in_another_region_is_told(s3: Stub) -> None:
    Aws(s3).has("head_bucket", IN_REGION)
    (change,) = set_up(s3.client, Wanted(BUCKET, "us-east-1"))
    assert change.status == "failed"
    assert f"--region {REGION}" in change.detail


@pytest.mark.parametrize(
    ("endpoint", "aws"),
    [
        (None, True),
        ("https://s3.cn-north-1.amazonaws.com.cn", True),
        ("http://127.0.0.1:8333", False),
        ("https://amazonaws.com.example.org", False),
        ("https://notamazonaws.com", False),
    ],
)
def test_aws_is_told_from_other_stores_by_the_clients_endpoint(
    endpoint: str | None, aws: bool
) -> None:
    settings = make_settings(
        s3_endpoint_url=endpoint, aws_access_key_id="x", aws_secret_access_key="x"
    )
    assert is_aws(make_client(settings, public=False)) is aws


def test_another_store_in_boto3s_own_environment_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:8333")
    settings = make_settings(aws_access_key_id="x", aws_secret_access_key="x")
    assert not is_aws(make_client(settings, public=False))


@pytest.mark.parametrize(
    "values",
    [
        {"bucket": "Upper"}, {"bucket": "a"}, {"bucket": "10.0.0.1"}, {"bucket": "a..b"},
        {"bucket": "with.dots", "accelerate": True}, {"log_bucket": BUCKET},
        {"origins": ("https://a/",)}, {"origins": ("example.org",)},
        {"origins": ("https://*.*.org",)},
    ],
)  # fmt: skip
def test_what_s3_would_refuse_is_refused_before(values: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        Wanted(**{"bucket": BUCKET, "region": REGION, **values})


def test_every_origin_only_when_asked_for_in_so_many_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "*")
    outcome = CliRunner().invoke(app, ["s3", "setup", "--bucket", BUCKET])
    assert outcome.exit_code == 2
    assert "--any-origin" in outcome.output
