"""Forms for AWS itself: signed without asking anybody, so they can be looked at without AWS."""

from __future__ import annotations

import base64
import json
from typing import Any
from unittest.mock import MagicMock

import pytest

from detect_api.core.config import Settings
from detect_api.services.s3_service import LARGEST_FORM, S3Service
from detect_api.storage import s3_problem
from detect_api.storage.s3 import make_client

KEYS: dict[str, Any] = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "not-a-secret"}


def form(**values: Any) -> dict[str, Any]:
    settings = Settings(_env_file=None, s3_bucket_name="your-video-bucket", **{**KEYS, **values})
    service = S3Service(settings, make_client(settings, public=True), "your-video-bucket")
    return service.presign(
        MagicMock(), filename="traffic_video.mp4", file_size=None, content_type="video/mp4"
    )


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("us-east-1", "https://your-video-bucket.s3.amazonaws.com/"),
        ("eu-central-1", "https://your-video-bucket.s3.eu-central-1.amazonaws.com/"),
    ],
)
def test_the_address_is_the_regions_own(region: str, url: str) -> None:
    signed = form(aws_region=region)
    assert signed["upload_url"] == url
    assert f"/{region}/s3/aws4_request" in signed["upload_fields"]["x-amz-credential"]
    assert signed["upload_fields"]["x-amz-algorithm"] == "AWS4-HMAC-SHA256"


def test_temporary_keys_put_their_token_into_form_and_policy() -> None:
    signed = form(aws_session_token="token")
    fields = signed["upload_fields"]
    assert fields["x-amz-security-token"] == "token"
    conditions = json.loads(base64.b64decode(fields["policy"]))["conditions"]
    assert {"x-amz-security-token": "token"} in conditions


def test_acceleration_has_its_own_address() -> None:
    signed = form(s3_use_accelerate=True)
    assert signed["upload_url"] == "https://your-video-bucket.s3-accelerate.amazonaws.com/"


def test_clients_are_given_the_public_endpoint() -> None:
    signed = form(
        s3_endpoint_url="http://10.0.0.5:8333", s3_public_endpoint_url="https://s3.example.org"
    )
    assert signed["upload_url"] == "https://s3.example.org/your-video-bucket/"


def test_a_form_takes_no_more_than_s3_does() -> None:
    signed = form(max_file_size=10 * LARGEST_FORM)
    conditions = json.loads(base64.b64decode(signed["upload_fields"]["policy"]))["conditions"]
    assert ["content-length-range", 1, LARGEST_FORM] in conditions
    assert signed["max_file_size"] == LARGEST_FORM


def test_what_is_missing_for_s3_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    begin = "S3 service is not properly configured"
    without_bucket = s3_problem(Settings(_env_file=None, enable_s3=True, **KEYS))
    without_keys = s3_problem(Settings(_env_file=None, enable_s3=True, s3_bucket_name="b"))
    half = s3_problem(
        Settings(_env_file=None, enable_s3=True, s3_bucket_name="b", aws_access_key_id="a")
    )
    assert without_bucket is not None
    assert without_bucket.startswith(begin)
    assert "S3_BUCKET_NAME" in without_bucket
    for problem in (without_keys, half):
        assert problem is not None
        assert problem.startswith(begin)
        assert "AWS_ACCESS_KEY_ID" in problem
    assert s3_problem(Settings(_env_file=None, s3_bucket_name="b", **KEYS)) is None
