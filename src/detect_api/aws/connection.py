"""Whom the set-up talks to, and how a refusal is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    UnknownRegionError,
)

from detect_api.core.config import Settings
from detect_api.core.errors import DetectApiError
from detect_api.core.logging import redact

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

AWS_DOMAINS = ("amazonaws.com", "amazonaws.com.cn", "amazonaws.eu", "api.aws")
DENIED = {"403", "AccessDenied", "AccessDeniedException", "Forbidden", "UnauthorizedOperation"}


class AwsRefused(DetectApiError):
    """AWS, or the store that stands in for it, did not do what the set-up asked of it."""

    status = 502
    code = "aws_refused"


def is_aws(client: Any) -> bool:
    """Whether a boto3 client talks to AWS itself.

    Asks the client, not the settings: boto3 also takes endpoints from its own environment
    variables and profiles.
    """
    host = urlsplit(str(client.meta.endpoint_url)).hostname or ""
    return any(host == domain or host.endswith(f".{domain}") for domain in AWS_DOMAINS)


def partition_of(region: str) -> str:
    """The part of AWS that a region lies in, as ARNs name it: aws, aws-cn, aws-us-gov …"""
    try:
        return str(boto3.session.Session().get_partition_for_region(region))
    except UnknownRegionError:
        return "aws"


def iam_client(settings: Settings) -> IAMClient:
    """A client for users and roles; it talks to ``S3_ENDPOINT_URL`` where that is set."""
    secret, token = settings.aws_secret_access_key, settings.aws_session_token
    config: Config = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 4})
    return boto3.session.Session().client(
        "iam",
        region_name=settings.aws_region,
        endpoint_url=settings.s3_endpoint_url,
        aws_access_key_id=settings.aws_access_key_id,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
        aws_session_token=token.get_secret_value() if token else None,
        config=config,
    )


def code_of(error: ClientError) -> str:
    """The code of an answer, such as ``NoSuchBucket``."""
    return str(error.response.get("Error", {}).get("Code", "unknown"))


def reason(error: Exception, action: str) -> str:
    """What went wrong as one sentence, which names the missing permission where that is it."""
    if isinstance(error, NoCredentialsError):
        return (
            "There are no keys to sign with: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
            "AWS_PROFILE."
        )
    if isinstance(error, EndpointConnectionError):
        return redact(f"{error} Check AWS_REGION, S3_ENDPOINT_URL and the network.")
    if isinstance(error, ClientError):
        code = code_of(error)
        if code in DENIED:
            return f"These keys are not allowed to do it: allow them {action}."
        message = str(error.response.get("Error", {}).get("Message", ""))
        return redact(f"Answered {code}: {message}" if message else f"Answered {code}.")
    return redact(f"{type(error).__name__}: {error}")
