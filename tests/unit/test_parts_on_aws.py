"""Parts on AWS itself: signed without asking anybody, listed as AWS lists them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.stub import Stubber

from detect_api.core.errors import StorageError
from detect_api.storage.multipart import UploadGone
from detect_api.storage.s3 import make_client
from detect_api.storage.s3_multipart import PartSigner, S3Multipart

from ..conftest import make_settings

BUCKET = "your-video-bucket"
KEY = "videos/a.mp4"
KEYS: dict[str, Any] = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "not-a-secret"}
SENT = datetime(2025, 1, 13, tzinfo=UTC)


def signed(checksum: Any = None, **values: Any) -> Any:
    settings = make_settings(s3_bucket_name=BUCKET, **{**KEYS, **values})
    signer = PartSigner(make_client(settings, public=True), BUCKET, 600)
    return signer.sign(KEY, "an-id", 7, 8388608, checksum)


def test_size_and_checksum_are_signed() -> None:
    part = signed(("CRC32C", "yZRlqg=="), aws_region="eu-central-1")
    address = urlsplit(part.url)
    query = parse_qs(address.query)
    assert address.hostname == "your-video-bucket.s3.eu-central-1.amazonaws.com"
    assert address.path == f"/{KEY}"
    assert (query["uploadId"], query["partNumber"]) == (["an-id"], ["7"])
    assert query["X-Amz-SignedHeaders"] == ["content-length;host;x-amz-checksum-crc32c"]
    assert query["X-Amz-Expires"] == ["600"]
    assert part.headers == {"x-amz-checksum-crc32c": "yZRlqg=="}
    assert part.size == 8388608


def test_without_a_checksum_no_header_is_asked_for() -> None:
    part = signed()
    assert part.headers == {}
    assert parse_qs(urlsplit(part.url).query)["X-Amz-SignedHeaders"] == ["content-length;host"]


def test_temporary_keys_acceleration_and_the_public_endpoint_show_in_the_address() -> None:
    assert "X-Amz-Security-Token=token" in signed(aws_session_token="token").url
    assert "your-video-bucket.s3-accelerate.amazonaws.com" in signed(s3_use_accelerate=True).url
    public = signed(
        s3_endpoint_url="http://10.0.0.5:8333", s3_public_endpoint_url="https://s3.example.org"
    )
    assert public.url.startswith(f"https://s3.example.org/{BUCKET}/{KEY}?")


def listed(number: int) -> dict[str, Any]:
    return {
        "PartNumber": number, "ETag": f'"{number}"', "Size": 9, "LastModified": SENT,
        "ChecksumCRC32C": f"sum{number}",
    }  # fmt: skip


def test_pages_are_put_together_and_their_checksums_complete_the_upload() -> None:
    client = make_client(make_settings(s3_bucket_name=BUCKET, **KEYS), public=False)
    asked = {"Bucket": BUCKET, "Key": KEY, "UploadId": "an-id", "MaxParts": 2}
    pages = [(0, [1, 2], 2), (1, [2, 3], 3), (2, [3, 4], None)]
    with Stubber(client) as aws:
        for marker, numbers, following in pages:
            answer: dict[str, Any] = {"Parts": [listed(n) for n in numbers]}
            if following is not None:
                answer |= {"IsTruncated": True, "NextPartNumberMarker": following}
            aws.add_response("list_parts", answer, {**asked, "PartNumberMarker": marker})
        parts = S3Multipart(client, BUCKET, page_size=2).parts(KEY, "an-id")
        assert [part.number for part in parts] == [1, 2, 3, 4]
        named = [
            {"PartNumber": n, "ETag": f'"{n}"', "ChecksumCRC32C": f"sum{n}"} for n in range(1, 5)
        ]
        wanted = {key: asked[key] for key in ("Bucket", "Key", "UploadId")}
        aws.add_response(
            "complete_multipart_upload", {}, {**wanted, "MultipartUpload": {"Parts": named}}
        )
        S3Multipart(client, BUCKET).complete(KEY, "an-id", parts, "CRC32C")
        aws.assert_no_pending_responses()


def test_an_upload_that_is_gone_is_told_from_a_storage_that_fails() -> None:
    client = make_client(make_settings(s3_bucket_name=BUCKET, **KEYS), public=False)
    with Stubber(client) as aws:
        aws.add_client_error("list_parts", "NoSuchUpload")
        with pytest.raises(UploadGone):
            S3Multipart(client, BUCKET).parts(KEY, "an-id")
        aws.add_client_error("complete_multipart_upload", "AccessDenied")
        with pytest.raises(StorageError) as caught:
            S3Multipart(client, BUCKET).complete(KEY, "an-id", [], None)
        assert caught.value.code == "storage_denied"
