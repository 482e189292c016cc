"""Uploads in parts by the S3 protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from detect_api.storage.base import ObjectStore
from detect_api.storage.multipart import (
    Checksum,
    MultipartStore,
    OpenUpload,
    PartsRefused,
    SignedPart,
    StoredPart,
    UploadGone,
)
from detect_api.storage.s3 import S3Store, translated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_REFUSED = {"InvalidPart", "InvalidPartOrder", "EntityTooSmall", "BadDigest", "InvalidRequest"}
_MAX_PAGES = 1_000


def multipart_of(store: ObjectStore) -> MultipartStore | None:
    """What a store can do with uploads in parts; None for one that is no S3."""
    return S3Multipart(store.client, store.bucket) if isinstance(store, S3Store) else None


@dataclass(frozen=True)
class S3Multipart:
    """A MultipartStore in one bucket. ``client`` talks to the endpoint that the service sees."""

    client: S3Client
    bucket: str

    def create(
        self, key: str, content_type: str, metadata: dict[str, str], checksum: Checksum | None
    ) -> str:
        guard: dict[str, Any] = (
            {"ChecksumAlgorithm": checksum, "ChecksumType": "COMPOSITE"} if checksum else {}
        )
        with translated(key):
            answer = self.client.create_multipart_upload(
                Bucket=self.bucket, Key=key, ContentType=content_type, Metadata=metadata, **guard
            )
        return answer["UploadId"]

    def parts(self, key: str, upload_id: str) -> list[StoredPart]:
        found: list[StoredPart] = []
        marker = 0
        for _ in range(_MAX_PAGES):
            with translated(key):
                try:
                    page = self.client.list_parts(
                        Bucket=self.bucket, Key=key, UploadId=upload_id, PartNumberMarker=marker
                    )
                except ClientError as error:
                    if _code(error) == "NoSuchUpload":
                        raise UploadGone from None
                    raise
            found += [
                StoredPart(
                    number=part["PartNumber"],
                    etag=part["ETag"],
                    size=part["Size"],
                    last_modified=part["LastModified"],
                    checksum=part.get("ChecksumCRC32C") or part.get("ChecksumSHA256"),
                )
                for part in page.get("Parts", [])
            ]
            following = page.get("NextPartNumberMarker", 0)
            if not page.get("IsTruncated") or following <= marker:
                break
            marker = following
        return found

    def complete(
        self, key: str, upload_id: str, parts: Sequence[StoredPart], checksum: Checksum | None
    ) -> None:
        named: list[Any] = [
            {
                "PartNumber": part.number,
                "ETag": part.etag,
                **({f"Checksum{checksum}": part.checksum} if checksum and part.checksum else {}),
            }
            for part in parts
        ]
        with translated(key):
            try:
                self.client.complete_multipart_upload(
                    Bucket=self.bucket,
                    Key=key,
                    UploadId=upload_id,
                    MultipartUpload={"Parts": named},
                )
            except ClientError as error:
                if _code(error) == "NoSuchUpload":
                    raise UploadGone from None
                if _code(error) in _REFUSED:
                    raise PartsRefused from None
                raise

    def open_uploads(self, prefix: str) -> Iterator[OpenUpload]:
        after: dict[str, Any] = {}
        for _ in range(_MAX_PAGES):
            with translated(prefix):
                page = self.client.list_multipart_uploads(
                    Bucket=self.bucket, Prefix=prefix, **after
                )
            for upload in page.get("Uploads", []):
                yield OpenUpload(upload["Key"], upload["UploadId"], upload["Initiated"])
            if not page.get("IsTruncated"):
                break
            after = {
                "KeyMarker": page["NextKeyMarker"],
                "UploadIdMarker": page["NextUploadIdMarker"],
            }


@dataclass(frozen=True)
class PartSigner:
    """Signs parts for clients. ``client`` signs for the endpoint that clients see."""

    client: S3Client
    bucket: str
    expires_in: int

    def sign(
        self,
        key: str,
        upload_id: str,
        number: int,
        size: int,
        checksum: tuple[Checksum, str] | None,
    ) -> SignedPart:
        """Signs one part; talks to nobody.

        Its size and its checksum are among what is signed, so that the store refuses any other
        body.
        """
        parameters: dict[str, Any] = {
            "Bucket": self.bucket,
            "Key": key,
            "UploadId": upload_id,
            "PartNumber": number,
            "ContentLength": size,
        }
        headers: dict[str, str] = {}
        if checksum is not None:
            algorithm, value = checksum
            parameters[f"Checksum{algorithm}"] = value
            headers[f"x-amz-checksum-{algorithm.lower()}"] = value
        url = self.client.generate_presigned_url(
            "upload_part", Params=parameters, ExpiresIn=self.expires_in
        )
        return SignedPart(number, url, headers, size)


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
