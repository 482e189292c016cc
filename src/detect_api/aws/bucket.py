"""``detect-api s3 setup``: a bucket as the service wants it, and its log bucket.

On a store that is not AWS, the calls for access logging and acceleration are never sent:
SeaweedFS answers them by creating a bucket.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from detect_api.aws.connection import code_of, is_aws, partition_of, reason
from detect_api.aws.converge import Aspect, Change, converge, found_or_none
from detect_api.aws.policy import statements_of, with_statement
from detect_api.aws.wanted import (
    CORS_RULE,
    ENCRYPTION,
    PUBLIC_ACCESS_BLOCK,
    Wanted,
    log_prefix,
    log_rule,
    log_statement,
    with_rules,
)
from detect_api.aws.words import cors_words, lifecycle_words

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ONLY_AWS = "Only AWS has it."


def set_up(
    client: S3Client,
    wanted: Wanted,
    *,
    dry_run: bool = False,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[Change]:
    """Creates the bucket or brings it to what is wanted; yields each aspect when it is done.

    A second run changes nothing. Rules of others for CORS and lifecycle stay. With ``dry_run``
    only reads.
    """
    aws = is_aws(client)
    made = _bucket(client, wanted.bucket, wanted.region, dry_run=dry_run, aws=aws)
    yield made
    if made.status == "failed":
        return
    aspects = [
        _encryption(client, wanted.bucket),
        _versioning(client, wanted.bucket),
        _lifecycle(client, wanted),
    ]
    if wanted.origins:
        aspects.append(_cors(client, wanted))
    if aws:
        aspects.insert(0, _public_access(client, wanted.bucket))
        if wanted.accelerate is not None:
            aspects.append(_acceleration(client, wanted.bucket, wanted.accelerate))
    absent = made.status == "would change"
    yield from converge(aspects, dry_run=dry_run, absent=absent, pause=pause)
    if not wanted.origins:
        yield Change(
            "CORS", "unchanged",
            detail="Left as it is: no origin is named. Pages that upload need --origin.",
        )  # fmt: skip
    if aws:
        if wanted.log_bucket:
            yield from _logging(client, wanted, wanted.log_bucket, dry_run, absent, pause)
        return
    yield Change("public-access block", "not on this store", detail=ONLY_AWS)
    if wanted.accelerate is not None:
        yield Change("acceleration", "not on this store", detail=ONLY_AWS)
    if wanted.log_bucket:
        yield Change("access log", "not on this store", detail=ONLY_AWS)


def _bucket(
    client: S3Client, bucket: str, region: str, *, dry_run: bool, aws: bool, name: str = "bucket"
) -> Change:
    """Makes the bucket unless it is there, and looks whether it lies in the region."""
    try:
        found = found_or_none(lambda: client.head_bucket(Bucket=bucket), "404", "NoSuchBucket")
    except (ClientError, BotoCoreError) as error:
        detail = reason(error, "s3:ListBucket")
        if isinstance(error, ClientError) and code_of(error) in ("403", "AccessDenied"):
            detail = (
                "Refused: the bucket belongs to another account (then take another name), or "
                "these keys are not allowed s3:ListBucket on it."
            )
        return Change(name, "failed", detail=detail)
    after = f"{bucket} in {region}" if aws else bucket
    if found is not None:
        headers = found["ResponseMetadata"]["HTTPHeaders"]
        lies_in = headers.get("x-amz-bucket-region", region)
        if aws and lies_in != region:
            return Change(
                name, "failed", f"{bucket} in {lies_in}",
                detail=f"The bucket is there, in {lies_in}: give --region {lies_in} (and set "
                "AWS_REGION), or take another name.",
            )  # fmt: skip
        return Change(name, "unchanged", after, after)
    if dry_run:
        return Change(name, "would change", None, after)
    try:
        if aws and region != "us-east-1":  # which S3 does not take as a constraint
            place: Any = {"LocationConstraint": region}
            client.create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
        else:
            client.create_bucket(Bucket=bucket)
    except (ClientError, BotoCoreError) as error:
        return Change(name, "failed", None, after, reason(error, "s3:CreateBucket"))
    return Change(name, "changed", None, after)


def _public_access(client: S3Client, bucket: str, name: str = "public-access block") -> Aspect:
    def read() -> Any:
        found = found_or_none(
            lambda: client.get_public_access_block(Bucket=bucket),
            "NoSuchPublicAccessBlockConfiguration",
        )
        return found and found["PublicAccessBlockConfiguration"]

    def write(block: Any) -> None:
        client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)

    def show(block: Any) -> str:
        open_ways = [way for way in PUBLIC_ACCESS_BLOCK if not block.get(way)]
        return "all closed" if not open_ways else f"not {', '.join(open_ways)}"

    return Aspect(
        name, read, lambda _found: dict(PUBLIC_ACCESS_BLOCK), write, show,
        "s3:GetBucketPublicAccessBlock", "s3:PutBucketPublicAccessBlock",
    )  # fmt: skip


def _encryption(client: S3Client, bucket: str) -> Aspect:
    def read() -> Any:
        found = found_or_none(
            lambda: client.get_bucket_encryption(Bucket=bucket),
            "ServerSideEncryptionConfigurationNotFoundError",
        )
        rules = found["ServerSideEncryptionConfiguration"]["Rules"] if found else []
        defaults = [rule.get("ApplyServerSideEncryptionByDefault") for rule in rules]
        return next((found["SSEAlgorithm"] for found in defaults if found), None)

    def write(algorithm: Any) -> None:
        client.put_bucket_encryption(
            Bucket=bucket,
            ServerSideEncryptionConfiguration={
                "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": algorithm}}]
            },
        )

    return Aspect(
        "encryption", read,
        lambda found: found or ENCRYPTION,  # a KMS key that somebody chose is not taken away
        write, str, "s3:GetEncryptionConfiguration", "s3:PutEncryptionConfiguration",
    )  # fmt: skip


def _versioning(client: S3Client, bucket: str) -> Aspect:
    def write(status: Any) -> None:
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})

    return Aspect(
        "versioning", lambda: client.get_bucket_versioning(Bucket=bucket).get("Status"),
        lambda _found: "Enabled", write, str,
        "s3:GetBucketVersioning", "s3:PutBucketVersioning",
    )  # fmt: skip


def _lifecycle(client: S3Client, wanted: Wanted) -> Aspect:
    return _lifecycle_of(
        client, wanted.bucket, wanted.lifecycle_rules(), wanted.unwanted_rules(), "lifecycle"
    )


def _lifecycle_of(
    client: S3Client, bucket: str, ours: list[Any], unwanted: set[str], name: str
) -> Aspect:
    more: dict[str, Any] = {}

    def read() -> Any:
        found = found_or_none(
            lambda: client.get_bucket_lifecycle_configuration(Bucket=bucket),
            "NoSuchLifecycleConfiguration",
        )
        size = "TransitionDefaultMinimumObjectSize"
        if found and size in found:  # else writing the rules would set it back
            more[size] = found[size]
        return found and [_modern(rule) for rule in found["Rules"]]

    def write(rules: Any) -> None:
        client.put_bucket_lifecycle_configuration(
            Bucket=bucket, LifecycleConfiguration={"Rules": rules}, **more
        )

    return Aspect(
        name, read, lambda found: with_rules(found or [], ours, unwanted), write,
        lifecycle_words, "s3:GetLifecycleConfiguration", "s3:PutLifecycleConfiguration",
    )  # fmt: skip


def _modern(rule: Any) -> Any:
    """A rule in today's form, which S3 does not take beside rules in the form of before 2017."""
    if "Filter" in rule or "Prefix" not in rule:
        return rule
    rest = {name: value for name, value in rule.items() if name != "Prefix"}
    return {**rest, "Filter": {"Prefix": rule["Prefix"]}}


def _cors(client: S3Client, wanted: Wanted) -> Aspect:
    def read() -> Any:
        found = found_or_none(
            lambda: client.get_bucket_cors(Bucket=wanted.bucket), "NoSuchCORSConfiguration"
        )
        return found and found["CORSRules"]

    def rules(found: Any) -> Any:
        # The first rule that fits is the one that S3 takes, so ours goes first.
        others = [rule for rule in found or [] if rule.get("ID") != CORS_RULE]
        return [wanted.cors_rule(), *others]

    def write(rules: Any) -> None:
        client.put_bucket_cors(Bucket=wanted.bucket, CORSConfiguration={"CORSRules": rules})

    def same(found: Any, rules: Any) -> bool:
        return [_sorted(rule) for rule in found] == [_sorted(rule) for rule in rules]

    return Aspect(
        "CORS", read, rules, write, cors_words, "s3:GetBucketCORS", "s3:PutBucketCORS", same
    )


def _sorted(rule: dict[str, Any]) -> dict[str, Any]:
    return {
        name: sorted(value) if isinstance(value, list) else value for name, value in rule.items()
    }


def _acceleration(client: S3Client, bucket: str, on: bool) -> Aspect:
    def write(status: Any) -> None:
        client.put_bucket_accelerate_configuration(
            Bucket=bucket, AccelerateConfiguration={"Status": status}
        )

    return Aspect(
        "acceleration",
        lambda: client.get_bucket_accelerate_configuration(Bucket=bucket).get("Status"),
        lambda found: "Enabled" if on else found and "Suspended",
        write, str, "s3:GetAccelerateConfiguration", "s3:PutAccelerateConfiguration",
        note="Set S3_USE_ACCELERATE=true as well." if on else "",
    )  # fmt: skip


def _logging(
    client: S3Client, wanted: Wanted, log_bucket: str, dry_run: bool, absent: bool,
    pause: Callable[[float], None],
) -> Iterator[Change]:  # fmt: skip
    made = _bucket(client, log_bucket, wanted.region, dry_run=dry_run, aws=True, name="log bucket")
    yield made
    if made.status == "failed":
        return
    no_log_bucket = made.status == "would change"
    statement = log_statement(wanted.bucket, log_bucket, partition_of(wanted.region))
    prepare = [
        _policy(client, log_bucket, statement),
        _lifecycle_of(client, log_bucket, [log_rule(wanted.bucket)], set(), "log lifecycle"),
    ]
    if made.status == "changed" or no_log_bucket:  # one that was there may be open on purpose
        prepare.insert(0, _public_access(client, log_bucket, "log public-access block"))
    yield from converge(prepare, dry_run=dry_run, absent=no_log_bucket, pause=pause)
    target = {"TargetBucket": log_bucket, "TargetPrefix": log_prefix(wanted.bucket)}

    def write(enabled: Any) -> None:
        client.put_bucket_logging(
            Bucket=wanted.bucket, BucketLoggingStatus={"LoggingEnabled": enabled}
        )

    def same(found: Any, enabled: Any) -> bool:
        return all(found.get(name) == value for name, value in enabled.items())

    access_log = Aspect(
        "access log", lambda: client.get_bucket_logging(Bucket=wanted.bucket).get("LoggingEnabled"),
        lambda _found: target, write,
        lambda enabled: f"to {enabled['TargetBucket']}/{enabled.get('TargetPrefix', '')}",
        "s3:GetBucketLogging", "s3:PutBucketLogging", same,
    )  # fmt: skip
    yield from converge([access_log], dry_run=dry_run, absent=absent, pause=pause)


def _policy(client: S3Client, bucket: str, statement: dict[str, Any]) -> Aspect:
    """Adds one statement to a bucket's policy, or brings it up to date; the others stay."""

    def read() -> Any:
        found = found_or_none(lambda: client.get_bucket_policy(Bucket=bucket), "NoSuchBucketPolicy")
        return found and json.loads(found["Policy"])

    def same(found: Any, _wanted: Any) -> bool:
        return statement in statements_of(found)

    def write(policy: Any) -> None:
        client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))

    return Aspect(
        "log bucket policy", read, lambda found: with_statement(found, statement), write,
        lambda policy: ", ".join(part.get("Sid", "no Sid") for part in statements_of(policy)),
        "s3:GetBucketPolicy", "s3:PutBucketPolicy", same,
    )  # fmt: skip
