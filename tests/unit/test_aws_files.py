"""Set-up, Terraform and CloudFormation say the same."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml

from detect_api.aws.policy import TRUSTED, service_policy, trust_statement
from detect_api.aws.wanted import (
    ENCRYPTION,
    NONCURRENT_DAYS,
    PUBLIC_ACCESS_BLOCK,
    Wanted,
    log_rule,
    log_statement,
)

DEPLOY = Path(__file__).parents[2] / "deploy"
TERRAFORM = DEPLOY / "terraform"
TEMPLATE = DEPLOY / "cloudformation" / "detect-api.yaml"
PLUGINS = Path(os.environ.get("TF_PLUGIN_FOLDER", "/opt/tf-plugins"))
ORIGIN = "https://example.org"
WANTED = Wanted("your-videos", "eu-central-1", "videos/", (ORIGIN,), 7, 30, log_bucket="your-logs")
ARN = "arn:aws:s3:::your-videos"
Rule = tuple[str, int | None, int | None, int | None, bool]


# -- Terraform ------------------------------------------------------------------------------

VARIABLES: dict[str, Any] = {
    "var.bucket": "your-videos", "var.prefix": "videos/", "var.origins": [ORIGIN],
    "var.noncurrent_days": NONCURRENT_DAYS, "aws_s3_bucket.videos.arn": ARN,
    "aws_s3_bucket.log[0].arn": "arn:aws:s3:::your-logs",
}  # fmt: skip


def terraform() -> dict[str, Any]:
    """Everything in the files, as ``resource.type.name``, with the variables put in."""
    found: dict[str, Any] = {}
    for path in sorted(TERRAFORM.glob("*.tf")):
        parsed = plain(hcl2.loads(path.read_text(encoding="utf-8")))
        for kind, listed in parsed.items():
            for block in listed:
                for first, inner in block.items():
                    for second, body in inner.items() if isinstance(inner, dict) else ():
                        found[f"{kind}.{first}.{second}"] = body
    return found


def plain(value: Any) -> Any:
    """What the parser gives, without the quotation marks it leaves and with variables put in."""
    if isinstance(value, dict):
        return {plain(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if not isinstance(value, str):
        return value
    text = value.removeprefix('"').removesuffix('"')
    if whole := re.fullmatch(r"\$\{([^{}]+)\}", text):
        return VARIABLES.get(whole[1], text)
    return re.sub(r"\$\{([^{}]+)\}", lambda m: str(VARIABLES.get(m[1], m[0])), text)


def one(blocks: list[Any]) -> Any:
    (block,) = blocks
    return block


def terraform_rules(resource: dict[str, Any], days: dict[str, int]) -> dict[str, Rule]:
    rules = list(resource["rule"])
    rules += [one(block["rule"]["content"]) for block in resource.get("dynamic", [])]
    found = {}
    for rule in rules:
        expiry = one(rule["expiration"])
        old = rule.get("noncurrent_version_expiration")
        parts = rule.get("abort_incomplete_multipart_upload")
        assert rule["status"] == "Enabled"
        found[rule["id"]] = (
            one(rule["filter"])["prefix"],
            days.get(rule["id"], expiry.get("days")),
            one(old)["noncurrent_days"] if old else None,
            one(parts)["days_after_initiation"] if parts else None,
            expiry.get("expired_object_delete_marker", False),
        )
    return found


# -- CloudFormation -------------------------------------------------------------------------

PARAMETERS: dict[str, Any] = {
    "BucketName": "your-videos", "LogBucketName": "your-logs", "Prefix": "videos/",
    "Origins": [ORIGIN], "ExpireDays": 7, "ExpirePictureDays": 30,
    "NoncurrentDays": NONCURRENT_DAYS, "AWS::Partition": "aws", "Videos.Arn": ARN,
}  # fmt: skip


class Template(yaml.SafeLoader):
    """Reads a template as if every condition were true."""


def _ref(loader: Template, node: yaml.ScalarNode) -> Any:
    name = loader.construct_scalar(node)
    return PARAMETERS.get(str(name), f"<{name}>")


def _sub(loader: Template, node: yaml.ScalarNode) -> str:
    text = str(loader.construct_scalar(node))
    return re.sub(r"\$\{([\w.:]+)\}", lambda m: str(PARAMETERS[m[1]]), text)


def _if(loader: Template, node: yaml.SequenceNode) -> Any:
    return loader.construct_sequence(node, deep=True)[1]


def _other(loader: Template, _tag: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)  # type: ignore[arg-type]


Template.add_constructor("!Ref", _ref)
Template.add_constructor("!GetAtt", _ref)
Template.add_constructor("!Sub", _sub)
Template.add_constructor("!If", _if)
Template.add_multi_constructor("!", _other)


def cloudformation() -> dict[str, Any]:
    template = yaml.load(TEMPLATE.read_text(encoding="utf-8"), Template)
    return {name: resource["Properties"] for name, resource in template["Resources"].items()} | {
        "Trusted": template["Mappings"]["Trusted"],
        "defaults": {n: p.get("Default") for n, p in template["Parameters"].items()},
    }


def template_rules(bucket: dict[str, Any]) -> dict[str, Rule]:
    return {
        rule["Id"]: (
            rule["Prefix"],
            rule.get("ExpirationInDays"),
            rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays"),
            rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation"),
            rule.get("ExpiredObjectDeleteMarker", False),
        )
        for rule in bucket["LifecycleConfiguration"]["Rules"]
        if rule["Status"] == "Enabled"
    }


# -- the same -------------------------------------------------------------------------------


def setup_rules(rules: list[Any]) -> dict[str, Rule]:
    return {
        rule["ID"]: (
            rule["Filter"]["Prefix"],
            rule["Expiration"].get("Days"),
            rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays"),
            rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation"),
            rule["Expiration"].get("ExpiredObjectDeleteMarker", False),
        )
        for rule in rules
        if rule["Status"] == "Enabled"
    }


def test_lifecycle_is_the_same() -> None:
    tf = terraform()["resource.aws_s3_bucket_lifecycle_configuration.videos"]
    days = {"detect-api-expire-videos": 7, "detect-api-expire-pictures": 30}
    expected = setup_rules(WANTED.lifecycle_rules())
    assert len(expected) == 3
    assert terraform_rules(tf, days) == expected
    assert template_rules(cloudformation()["Videos"]) == expected


def test_days_that_may_be_chosen_reach_the_rules() -> None:
    """The comparison puts the days in itself, so here where they come from is looked at."""
    text = (TERRAFORM / "bucket.tf").read_text("utf-8")
    for name, rule in (
        ("expire_days", "detect-api-expire-videos"),
        ("expire_picture_days", "detect-api-expire-pictures"),
    ):
        pattern = (
            rf"for_each = var\.{name} > 0 \? \[var\.{name}\] : \[\]\s+content {{\s+id += \"{rule}\""
        )
        assert re.search(pattern, text)
    assert (
        terraform()["resource.aws_s3_bucket_lifecycle_configuration.videos"]["dynamic"][0]["rule"][
            "content"
        ][0]["expiration"][0]["days"]
        == "${rule.value}"
    )


def test_defaults_are_the_same() -> None:
    set_by = {name: body.get("default") for name, body in _variables()}
    defaults = cloudformation()["defaults"]
    assert set_by["prefix"] == defaults["Prefix"] == WANTED.prefix
    assert set_by["noncurrent_days"] == defaults["NoncurrentDays"] == NONCURRENT_DAYS
    for name, parameter in (
        ("expire_days", "ExpireDays"),
        ("expire_picture_days", "ExpirePictureDays"),
    ):
        assert set_by[name] == defaults[parameter] == 0


def _variables() -> Iterator[tuple[str, dict[str, Any]]]:
    parsed = plain(hcl2.loads((TERRAFORM / "variables.tf").read_text("utf-8")))
    for block in parsed["variable"]:
        yield from block.items()


def test_cors_is_the_same() -> None:
    rule = WANTED.cors_rule()
    tf = one(terraform()["resource.aws_s3_bucket_cors_configuration.videos"]["cors_rule"])
    cfn = one(cloudformation()["Videos"]["CorsConfiguration"]["CorsRules"])
    expected = (
        rule["ID"], rule["AllowedOrigins"], rule["AllowedMethods"], rule["AllowedHeaders"],
        rule["ExposeHeaders"], rule["MaxAgeSeconds"],
    )  # fmt: skip
    assert expected == (
        tf["id"], tf["allowed_origins"], tf["allowed_methods"], tf["allowed_headers"],
        tf["expose_headers"], tf["max_age_seconds"],
    )  # fmt: skip
    assert expected == (
        cfn["Id"], cfn["AllowedOrigins"], cfn["AllowedMethods"], cfn["AllowedHeaders"],
        cfn["ExposedHeaders"], cfn["MaxAge"],
    )  # fmt: skip


def test_encryption_versioning_and_public_access_are_the_same() -> None:
    tf, cfn = terraform(), cloudformation()
    encryption = tf["resource.aws_s3_bucket_server_side_encryption_configuration.videos"]
    default = one(one(encryption["rule"])["apply_server_side_encryption_by_default"])
    assert default["sse_algorithm"] == ENCRYPTION
    rules = cfn["Videos"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert one(rules)["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == ENCRYPTION
    versioning = tf["resource.aws_s3_bucket_versioning.videos"]["versioning_configuration"]
    assert one(versioning)["status"] == "Enabled"
    assert cfn["Videos"]["VersioningConfiguration"] == {"Status": "Enabled"}
    for bucket in ("videos", "log"):
        block = tf[f"resource.aws_s3_bucket_public_access_block.{bucket}"]
        for name, value in PUBLIC_ACCESS_BLOCK.items():
            assert block[re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()] is value
        assert cfn[bucket.capitalize()]["PublicAccessBlockConfiguration"] == PUBLIC_ACCESS_BLOCK


def test_the_access_log_is_the_same() -> None:
    tf, cfn = terraform(), cloudformation()
    expected = setup_rules([log_rule("your-videos")])
    rules = tf["resource.aws_s3_bucket_lifecycle_configuration.log"]
    assert terraform_rules(rules, {}) == expected
    assert template_rules(cfn["Log"]) == expected
    assert tf["resource.aws_s3_bucket_logging.videos"]["target_prefix"] == "your-videos/"
    assert cfn["Videos"]["LoggingConfiguration"]["LogFilePrefix"] == "your-videos/"
    wanted = log_statement("your-videos", "your-logs", "aws")
    statement = one(tf["data.aws_iam_policy_document.log"]["statement"])
    condition = one(statement["condition"])
    assert statement["actions"] == [wanted["Action"]]
    assert statement["resources"] == [wanted["Resource"]]
    assert one(statement["principals"])["identifiers"] == [wanted["Principal"]["Service"]]
    assert wanted["Condition"] == {
        condition["test"]: {condition["variable"]: one(condition["values"])}
    }
    listed = one(cfn["LogPolicy"]["PolicyDocument"]["Statement"])
    del wanted["Sid"]
    assert listed == wanted


def test_the_policy_is_the_same() -> None:
    policy = service_policy("your-videos", "videos/", "eu-central-1")
    assert cloudformation()["Policy"]["PolicyDocument"] == policy
    listed = terraform()["data.aws_iam_policy_document.service"]["statement"]
    assert [
        (part["sid"], part["actions"], part["resources"]) for part in listed
    ] == [
        (part["Sid"], part["Action"], [part["Resource"]]) for part in policy["Statement"]
    ]  # fmt: skip


def test_who_may_use_a_role_is_the_same() -> None:
    mapping = cloudformation()["Trusted"]
    assert {name: found["Service"] for name, found in mapping.items()} == TRUSTED
    for name, found in mapping.items():
        action = trust_statement(name)["Action"]
        assert found["Actions"] == ([action] if isinstance(action, str) else action)
    text = (TERRAFORM / "access.tf").read_text("utf-8")
    (trusted,) = plain(hcl2.loads(text))["locals"]
    assert trusted["trusted"] == TRUSTED


# -- linted ---------------------------------------------------------------------------------


def test_cfn_lint_finds_nothing() -> None:
    ran = subprocess.run(
        [Path(sys.executable).parent / "cfn-lint", "--include-checks", "I", "--", TEMPLATE],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_terraform_finds_the_files_valid(tmp_path: Path) -> None:
    """Where Terraform and its AWS provider lie on the machine already: nothing is downloaded."""
    program = shutil.which("terraform")
    if program is None or not PLUGINS.is_dir():
        pytest.skip("needs terraform, and its AWS provider in the folder TF_PLUGIN_FOLDER")
    shutil.copytree(TERRAFORM, tmp_path / "files", ignore=shutil.ignore_patterns(".terraform*"))
    environment = {**os.environ, "CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull}
    for words in (
        ("fmt", "-check", "-diff", "-no-color"),
        ("init", "-backend=false", "-input=false", "-no-color", f"-plugin-dir={PLUGINS}"),
        ("validate", "-no-color"),
    ):
        ran = subprocess.run(
            [program, *words], cwd=tmp_path / "files", env=environment, capture_output=True,
            text=True, timeout=150, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stdout + ran.stderr
