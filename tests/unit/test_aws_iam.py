"""``detect-api s3 iam`` and ``s3 policy``, against botocore's Stubber. No test reaches AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.stub import ANY
from typer.testing import CliRunner

from detect_api.aws import connection, iam
from detect_api.aws.connection import AwsRefused
from detect_api.aws.iam import converge_role, converge_user, make_key
from detect_api.aws.policy import QUEUE_ACTIONS, service_policy, trust_statement
from detect_api.cli import app
from detect_api.core.errors import InvalidRequest
from tests.aws import REGION, Stub, by_name, never, played

BUCKET = "your-videos"
POLICY = service_policy(BUCKET, "videos/", REGION)


@pytest.fixture
def aws_iam() -> Iterator[Stub]:
    with played("iam") as stubber:
        yield stubber


# -- user and role --------------------------------------------------------------------------


def test_a_user_is_made_with_the_policy_and_then_left_alone(aws_iam: Stub) -> None:
    user = {"UserName": "svc"}
    aws_iam.add_client_error("get_user", "NoSuchEntity", expected_params=user)
    aws_iam.add_response("create_user", {}, user)
    named = {**user, "PolicyName": iam.POLICY_NAME}
    aws_iam.add_client_error("get_user_policy", "NoSuchEntity", expected_params=named)
    aws_iam.add_client_error("put_user_policy", "NoSuchEntity")  # the user is not known there yet
    document = json.dumps(POLICY)
    aws_iam.add_response("put_user_policy", {}, {**named, "PolicyDocument": document})
    waited = list[float]()
    found = by_name(converge_user(aws_iam.client, "svc", POLICY, pause=waited.append))
    assert {change.status for change in found.values()} == {"changed"}
    assert waited == [1.0]

    aws_iam.add_response("get_user", {"User": _user("svc")}, user)
    aws_iam.add_response("get_user_policy", {**named, "PolicyDocument": document}, named)
    second = by_name(converge_user(aws_iam.client, "svc", POLICY, pause=never))
    assert {change.status for change in second.values()} == {"unchanged"}


def _user(name: str) -> dict[str, Any]:
    return {"Path": "/", "UserName": name, "UserId": "U" * 16, "Arn": "a" * 20, "CreateDate": 0}


def _role(name: str, *statements: dict[str, Any]) -> dict[str, Any]:
    trust = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    return {
        "Path": "/", "RoleName": name, "RoleId": "R" * 16, "Arn": "a" * 20, "CreateDate": 0,
        "AssumeRolePolicyDocument": trust,
    }  # fmt: skip


def test_a_role_for_machines_gets_a_profile(aws_iam: Stub) -> None:
    trust = json.dumps({"Version": "2012-10-17", "Statement": [trust_statement("ec2")]})
    aws_iam.add_client_error("get_role", "NoSuchEntity")
    aws_iam.add_response(
        "create_role", {"Role": _role("svc")},
        {"RoleName": "svc", "AssumeRolePolicyDocument": trust},
    )  # fmt: skip
    aws_iam.add_client_error("get_role_policy", "NoSuchEntity")
    aws_iam.add_response(
        "put_role_policy", {},
        {"RoleName": "svc", "PolicyName": iam.POLICY_NAME, "PolicyDocument": ANY},
    )  # fmt: skip
    aws_iam.add_client_error("get_instance_profile", "NoSuchEntity")
    profile = {**_user("svc"), "InstanceProfileName": "svc", "InstanceProfileId": "P" * 16}
    del profile["UserName"], profile["UserId"]
    aws_iam.add_response("create_instance_profile", {"InstanceProfile": {**profile, "Roles": []}})
    aws_iam.add_response(
        "add_role_to_instance_profile", {}, {"InstanceProfileName": "svc", "RoleName": "svc"}
    )
    found = by_name(converge_role(aws_iam.client, "svc", POLICY, "ec2", pause=never))
    assert [change.status for change in found.values()] == ["changed"] * 3


def test_others_who_use_a_role_keep_it(aws_iam: Stub) -> None:
    theirs = {"Sid": "Theirs", "Effect": "Allow", "Principal": {"Service": "x.amazonaws.com"},
              "Action": "sts:AssumeRole"}  # fmt: skip
    aws_iam.add_response("get_role", {"Role": _role("svc", theirs)})
    both = [theirs, trust_statement("ecs")]
    document = json.dumps({"Version": "2012-10-17", "Statement": both})
    aws_iam.add_response(
        "update_assume_role_policy", {}, {"RoleName": "svc", "PolicyDocument": document}
    )
    aws_iam.add_response(
        "get_role_policy",
        {"RoleName": "svc", "PolicyName": iam.POLICY_NAME, "PolicyDocument": json.dumps(POLICY)},
    )
    found = by_name(converge_role(aws_iam.client, "svc", POLICY, "ecs", pause=never))
    assert found["role"].after == "for x.amazonaws.com, ecs-tasks.amazonaws.com"
    assert found["policy"].status == "unchanged"


def _keys(*names: str) -> dict[str, Any]:
    return {"AccessKeyMetadata": [{"UserName": "svc", "AccessKeyId": name} for name in names]}


def test_a_key_is_printed_when_it_is_made_and_not_again(
    aws_iam: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "iam_client", lambda _settings: aws_iam.client)
    words = ["s3", "iam", "--user", "svc", "--bucket", BUCKET, "--region", REGION]
    named = {"UserName": "svc", "PolicyName": iam.POLICY_NAME}
    key = {"UserName": "svc", "AccessKeyId": "K" * 16, "SecretAccessKey": "sesame",
           "Status": "Active"}  # fmt: skip

    def there() -> None:
        aws_iam.add_response("get_user", {"User": _user("svc")})
        aws_iam.add_response("get_user_policy", {**named, "PolicyDocument": json.dumps(POLICY)})

    there()
    for _ in range(2):
        aws_iam.add_response("list_access_keys", _keys())
    aws_iam.add_response("create_access_key", {"AccessKey": key})
    outcome = CliRunner().invoke(app, words)
    assert outcome.exit_code == 0, outcome.output
    assert "AWS_SECRET_ACCESS_KEY=sesame" in outcome.stdout
    there()
    aws_iam.add_response("list_access_keys", _keys("K" * 16))
    outcome = CliRunner().invoke(app, [*words, "--json"])
    assert outcome.exit_code == 0
    assert json.loads(outcome.stdout)["access_key"] is None
    assert json.loads(outcome.stdout)["changed"] == 0
    there()
    aws_iam.add_response("list_access_keys", _keys())
    outcome = CliRunner().invoke(app, [*words, "--dry-run"])
    assert "1 would change" in outcome.stderr


def test_a_third_key_is_refused_with_what_to_do(aws_iam: Stub) -> None:
    aws_iam.add_response("list_access_keys", _keys("K" * 16, "L" * 16))
    with pytest.raises(AwsRefused, match="delete the one"):
        make_key(aws_iam.client, "svc")


def test_a_key_does_not_print_its_secret() -> None:
    assert "sesame" not in repr(iam.AccessKey("K", "sesame"))


@pytest.mark.parametrize(
    "words",
    [
        (), ("--user", "a", "--role", "b"), ("--role", "b"), ("--user", "a", "--trust", "ec2"),
        ("--role", "b", "--trust", "moon"), ("--role", "b", "--trust", "ec2", "--new-key"),
    ],
)  # fmt: skip
def test_options_that_do_not_go_together_are_refused(words: tuple[str, ...]) -> None:
    outcome = CliRunner().invoke(app, ["s3", "iam", "--bucket", BUCKET, *words])
    assert outcome.exit_code == 2, outcome.output


# -- the policy -----------------------------------------------------------------------------


def test_the_policy_has_no_action_that_does_not_exist_and_reaches_one_prefix() -> None:
    outcome = CliRunner().invoke(app, ["s3", "policy", "--bucket", BUCKET])
    policy = json.loads(outcome.stdout)
    actions = [action for part in policy["Statement"] for action in part["Action"]]
    assert "s3:HeadObject" not in actions
    assert not [action for action in actions if "*" in action]
    assert [part["Resource"] for part in policy["Statement"]] == [
        f"arn:aws:s3:::{BUCKET}/videos/*", f"arn:aws:s3:::{BUCKET}",
    ]  # fmt: skip


def test_the_queue_of_the_settings_is_read_without_an_option(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("S3_EVENTS_QUEUE_URL", f"https://sqs.{REGION}.amazonaws.com/{1:012d}/events")
    outcome = CliRunner().invoke(app, ["s3", "policy", "--bucket", BUCKET])
    assert json.loads(outcome.stdout)["Statement"][2]["Action"] == list(QUEUE_ACTIONS)


def test_a_queue_is_named_by_url_or_arn_and_regions_have_their_partition() -> None:
    account = "1" * 12
    url = f"https://sqs.cn-north-1.amazonaws.com.cn/{account}/events"
    by_url = service_policy(BUCKET, "v/", "cn-north-1", queue=url)["Statement"]
    assert by_url[0]["Resource"] == f"arn:aws-cn:s3:::{BUCKET}/v/*"
    arn = f"arn:aws-cn:sqs:cn-north-1:{account}:events"
    assert by_url[2]["Resource"] == arn
    assert service_policy(BUCKET, "v/", "cn-north-1", queue=arn)["Statement"] == by_url
    assert "arn:aws:s3" in service_policy(BUCKET, "v/", "not-a-region")["Statement"][0]["Resource"]
    with pytest.raises(InvalidRequest):
        service_policy(BUCKET, "v/", REGION, queue="events")
    with pytest.raises(InvalidRequest):
        service_policy(BUCKET, "v/", REGION, kms_key="alias/mine")
