"""What the bucket of a detect-api is to look like.

The Terraform and CloudFormation files in ``deploy/`` say the same;
``tests/unit/test_aws_files.py`` compares all three.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from detect_api.core.errors import InvalidRequest

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CORSRuleTypeDef, LifecycleRuleTypeDef

CORS_RULE = "detect-api-uploads"
CORS_METHODS = ("GET", "HEAD", "POST", "PUT")
CORS_EXPOSED = ("ETag",)  # a multipart upload from a page needs each part's
CORS_MAX_AGE = 3600
VIDEO_RULE = "detect-api-expire-videos"
PICTURE_RULE = "detect-api-expire-pictures"
LEFTOVER_RULE = "detect-api-leftovers"
LOG_RULE = "detect-api-access-logs"
LOG_STATEMENT = "DetectApiAccessLogs"
ABORT_DAYS = 14
"""Twice MULTIPART_EXPIRATION's default: S3 counts from an upload's beginning, the service from the
last part that was asked for."""
NONCURRENT_DAYS = 1
LOG_DAYS = 90
ENCRYPTION = "AES256"
PUBLIC_ACCESS_BLOCK = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}

_BUCKET = re.compile(r"(?!\d+\.\d+\.\d+\.\d+$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ORIGIN = re.compile(r"https?://(?=[^*]*\*?[^*]*$)[A-Za-z0-9.*\-\[\]:]+")


@dataclass(frozen=True)
class Wanted:
    """One bucket, as it is to be.

    What is None is left as it is found. ``expire_days`` and ``expire_picture_days`` of 0 take the
    rule away. ``origins`` may be empty: CORS is then left as it is. Raises InvalidRequest where
    S3 would refuse.
    """

    bucket: str
    region: str
    prefix: str = "videos/"
    origins: tuple[str, ...] = ()
    expire_days: int | None = None
    expire_picture_days: int | None = None
    noncurrent_days: int = NONCURRENT_DAYS
    accelerate: bool | None = None
    log_bucket: str | None = None

    def __post_init__(self) -> None:
        for name in filter(None, (self.bucket, self.log_bucket)):
            if not _BUCKET.fullmatch(name) or ".." in name:
                raise InvalidRequest(
                    f"'{name}' cannot be the name of a bucket: take 3 to 63 of a-z, 0-9 and '-'."
                )
        if self.accelerate and "." in self.bucket:
            raise InvalidRequest("Transfer Acceleration needs a bucket without dots in its name.")
        if self.log_bucket == self.bucket:
            raise InvalidRequest(
                "A bucket must not log into itself, each line would cause another: name another "
                "bucket with --log-bucket."
            )
        for origin in self.origins:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise InvalidRequest(
                    f"'{origin}' is no origin: give scheme, host and port only, such as "
                    "https://example.org."
                )

    def cors_rule(self) -> CORSRuleTypeDef:
        """Lets the pages of ``origins`` upload and look at videos."""
        return {
            "ID": CORS_RULE,
            "AllowedOrigins": list(self.origins),
            "AllowedMethods": list(CORS_METHODS),
            "AllowedHeaders": ["*"],
            "ExposeHeaders": list(CORS_EXPOSED),
            "MaxAgeSeconds": CORS_MAX_AGE,
        }

    def lifecycle_rules(self) -> list[LifecycleRuleTypeDef]:
        """The rules that are to be there, each with an ID of ours."""
        rules: list[LifecycleRuleTypeDef] = []
        if self.expire_days:
            rules.append(_expiry(VIDEO_RULE, videos_prefix(self.prefix), self.expire_days))
        if self.expire_picture_days:
            rules.append(
                _expiry(PICTURE_RULE, pictures_prefix(self.prefix), self.expire_picture_days)
            )
        rules.append(
            {
                "ID": LEFTOVER_RULE,
                "Status": "Enabled",
                "Filter": {"Prefix": self.prefix},
                "Expiration": {"ExpiredObjectDeleteMarker": True},
                "NoncurrentVersionExpiration": {"NoncurrentDays": self.noncurrent_days},
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": ABORT_DAYS},
            }
        )
        return rules

    def unwanted_rules(self) -> set[str]:
        """IDs of rules of ours that are to go."""
        days = {VIDEO_RULE: self.expire_days, PICTURE_RULE: self.expire_picture_days}
        return {rule for rule, value in days.items() if value == 0}


def videos_prefix(prefix: str) -> str:
    """The prefix that all videos have and no picture has.

    A lifecycle rule cannot make exceptions. But a video's key goes on with its date, so with a 2
    until the year 3000, and a picture's with ``evidence/``.
    """
    return f"{prefix}2"


def pictures_prefix(prefix: str) -> str:
    """The prefix of the pictures of plates."""
    return f"{prefix}evidence/"


def log_prefix(bucket: str) -> str:
    """Where in the log bucket the access log of ``bucket`` lies."""
    return f"{bucket}/"


def log_rule(bucket: str) -> LifecycleRuleTypeDef:
    """Bounds the access log."""
    return _expiry(f"{LOG_RULE}-{bucket}", log_prefix(bucket), LOG_DAYS)


def log_statement(bucket: str, log_bucket: str, partition: str) -> dict[str, Any]:
    """The statement of the log bucket's policy that lets S3 write the log of ``bucket``."""
    return {
        "Sid": LOG_STATEMENT + "".join(c for c in bucket if c.isalnum()),
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": f"arn:{partition}:s3:::{log_bucket}/{log_prefix(bucket)}*",
        "Condition": {"ArnLike": {"aws:SourceArn": f"arn:{partition}:s3:::{bucket}"}},
    }


def with_rules(current: Iterable[Any], ours: Iterable[Any], unwanted: set[str]) -> list[Any]:
    """The rules that are there, with ours new or in their old place and everybody else's as is."""
    new = {rule["ID"]: rule for rule in ours}
    kept = [
        new.pop(rule["ID"]) if rule.get("ID") in new else rule
        for rule in current
        if rule.get("ID") not in unwanted
    ]
    return [*kept, *new.values()]


def _expiry(name: str, prefix: str, days: int) -> LifecycleRuleTypeDef:
    return {
        "ID": name,
        "Status": "Enabled",
        "Filter": {"Prefix": prefix},
        "Expiration": {"Days": days},
    }
