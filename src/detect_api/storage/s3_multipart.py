"""Uploads in parts by the S3 protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from detect_api.storage.base import ObjectStore
from detect_api.storage.multipart import (
    MAX_PARTS,
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
    page_size: int = 1_000
    """Entries of a list that are asked for at once; AWS gives no more."""

    def create(
        self, key: str, content_type: str, metadata: dict[str, str], checksum: Checksum | None
    ) -> str:
        guard: dict[str, Any] = {"ChecksumAlgorithm": checksum} if checksum else {}
        with translated(key):
            answer = self.client.create_multipart_upload(
                Bucket=self.bucket, Key=key, ContentType=content_type, Metadata=metadata, **guard
            )
        return answer["UploadId"]

    def parts(self, key: str, upload_id: str) -> list[StoredPart]:
        found: dict[tuple[int, str, datetime], StoredPart] = {}
        marker = 0
        for _ in range(_MAX_PAGES):
            with translated(key):
                try:
                    page = self.client.list_parts(
                        Bucket=self.bucket,
                        Key=key,
                        UploadId=upload_id,
                        PartNumberMarker=marker,
                        MaxParts=self.page_size,
                    )
                except ClientError as error:
                    if _code(error) == "NoSuchUpload":
                        raise UploadGone from None
                    raise
            numbers = []
            for part in page.get("Parts", []):
                number, etag, sent = part["PartNumber"], part["ETag"], part["LastModified"]
                checksum = part.get("ChecksumCRC32C") or part.get("ChecksumSHA256")
                found[number, etag, sent] = StoredPart(number, etag, part["Size"], sent, checksum)
                numbers.append(number)
            # SeaweedFS sorts numbers as text of four digits: 10000 comes after 999, and says
            # nothing of how far the list is.
            last = max((number for number in numbers if number < MAX_PARTS), default=0)
            if not page.get("IsTruncated") or last <= marker:
                break
            # A page of it may also end between two entries of one number: take that one again.
            marker = last - 1 if last - 1 > marker else last
        return [found[known] for known in sorted(found)]

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
                    Bucket=self.bucket, Prefix=prefix, MaxUploads=self.page_size, **after
                )
            for upload in page.get("Uploads", []):
                yield OpenUpload(upload["Key"], upload["UploadId"], upload["Initiated"])
            following = page.get("NextUploadIdMarker")
            if not page.get("IsTruncated") or not following:
                break
            after = {"UploadIdMarker": following}
            if key := page.get("NextKeyMarker"):  # SeaweedFS sorts by id and names none
                after["KeyMarker"] = key


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
