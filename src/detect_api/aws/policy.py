"""The least that the service must be allowed, as IAM policies."""

from __future__ import annotations

import re
from typing import Any

from detect_api.aws.connection import partition_of
from detect_api.core.errors import InvalidRequest

VERSION = "2012-10-17"
OBJECT_ACTIONS = (
    "s3:PutObject",
    "s3:GetObject",  # also for HEAD; there is no s3:HeadObject
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
)
BUCKET_ACTIONS = ("s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads")
QUEUE_ACTIONS = ("sqs:ReceiveMessage", "sqs:DeleteMessage")
KEY_ACTIONS = ("kms:GenerateDataKey", "kms:Decrypt")
TRUSTED = {
    "ec2": "ec2.amazonaws.com",
    "ecs": "ecs-tasks.amazonaws.com",
    "eks": "pods.eks.amazonaws.com",
}
TRUST_STATEMENT = "DetectApi"

_QUEUE_URL = re.compile(r"https://sqs\.([a-z0-9-]+)\.[a-z0-9.-]+/(\d+)/([A-Za-z0-9_.-]+)")
_QUEUE_ARN = re.compile(r"arn:[a-z-]+:sqs:[a-z0-9-]+:\d+:[A-Za-z0-9_.-]+")
_KEY_ARN = re.compile(r"arn:[a-z-]+:kms:[a-z0-9-]+:\d+:key/[A-Za-z0-9-]+")


def service_policy(
    bucket: str, prefix: str, region: str, *, queue: str | None = None, kms_key: str | None = None
) -> dict[str, Any]:
    """What the service's keys or role need: its prefix of one bucket, and nothing else.

    ``queue`` is the URL or ARN of an SQS queue with the bucket's events, ``kms_key`` the ARN of
    the key that encrypts the bucket. Raises InvalidRequest where one is something else.
    """
    arn = f"arn:{partition_of(region)}:s3:::{bucket}"
    statements = [
        _allow("DetectApiObjects", OBJECT_ACTIONS, f"{arn}/{prefix}*"),
        _allow("DetectApiBucket", BUCKET_ACTIONS, arn),
    ]
    if queue is not None:
        statements.append(_allow("DetectApiEvents", QUEUE_ACTIONS, _queue_arn(queue)))
    if kms_key is not None:
        if not _KEY_ARN.fullmatch(kms_key):
            raise InvalidRequest("--kms-key wants the ARN of a key, not its id or alias.")
        statements.append(_allow("DetectApiKey", KEY_ACTIONS, kms_key))
    return {"Version": VERSION, "Statement": statements}


def trust_statement(trust: str) -> dict[str, Any]:
    """The statement of a role's trust policy that lets a service of AWS, by its short name, use it.

    Raises InvalidRequest for a name that is not in ``TRUSTED``.
    """
    if trust not in TRUSTED:
        raise InvalidRequest(f"--trust takes one of {', '.join(TRUSTED)}.")
    # EKS Pod Identity also tags the session with the pod's names.
    action: Any = ["sts:AssumeRole", "sts:TagSession"] if trust == "eks" else "sts:AssumeRole"
    return {
        "Sid": f"{TRUST_STATEMENT}{trust.capitalize()}",
        "Effect": "Allow",
        "Principal": {"Service": TRUSTED[trust]},
        "Action": action,
    }


def with_statement(policy: dict[str, Any] | None, statement: dict[str, Any]) -> dict[str, Any]:
    """The policy with a statement new or brought up to date, by its Sid; the others stay."""
    policy = policy or {"Version": VERSION, "Statement": []}
    others = [other for other in statements_of(policy) if other.get("Sid") != statement["Sid"]]
    return {**policy, "Statement": [*others, statement]}


def statements_of(policy: dict[str, Any]) -> list[dict[str, Any]]:
    """A policy's statements; one alone need not be in a list."""
    listed = policy["Statement"]
    return listed if isinstance(listed, list) else [listed]


def _allow(name: str, actions: tuple[str, ...], resource: str) -> dict[str, Any]:
    return {"Sid": name, "Effect": "Allow", "Action": list(actions), "Resource": resource}


def _queue_arn(queue: str) -> str:
    if _QUEUE_ARN.fullmatch(queue):
        return queue
    if found := _QUEUE_URL.fullmatch(queue):
        region, account, name = found.groups()
        return f"arn:{partition_of(region)}:sqs:{region}:{account}:{name}"
    raise InvalidRequest("--queue wants the URL or the ARN of an SQS queue.")
