"""Object storage by the S3 protocol: AWS, SeaweedFS and the like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, BinaryIO

import boto3
import botocore.loaders
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from detect_api.core.config import MIB, Settings
from detect_api.core.errors import ObjectChanged, ObjectMissing, StorageError
from detect_api.storage.base import ObjectInfo

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

MAX_PARTS = 10_000
_PIECE = 65536
_MISSING = {"404", "NoSuchKey", "NotFound"}
_CHANGED = {"412", "PreconditionFailed"}
_DENIED = {"403", "AccessDenied", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch"}


def make_client(settings: Settings, *, public: bool) -> S3Client:
    """A boto3 client that signs with SigV4.

    The ``public`` one signs for the endpoint that clients see and never talks to it; the other
    talks to the endpoint that the service sees. Virtual-hosted addresses on AWS (path style
    would be redirected outside us-east-1), path style everywhere else.
    """
    internal = settings.s3_endpoint_url
    endpoint = (settings.s3_public_endpoint_url or internal) if public else internal
    secret = settings.aws_secret_access_key
    token = settings.aws_session_token
    style: Any = {"addressing_style": "path" if endpoint else "virtual"}
    if public and settings.s3_use_accelerate:
        style["use_accelerate_endpoint"] = True
    config: Config = Config(
        signature_version="s3v4",
        s3=style,
        connect_timeout=5,
        read_timeout=30,
        retries={"mode": "standard", "total_max_attempts": 4},
        max_pool_connections=32,
        # SeaweedFS and older stores do not know the trailers that newer boto3 adds by itself.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    session = botocore.session.get_session()
    session.register_component("data_loader", _descriptions())
    return boto3.session.Session(botocore_session=session).client(
        "s3",
        region_name=settings.aws_region,
        endpoint_url=endpoint,
        aws_access_key_id=settings.aws_access_key_id,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
        aws_session_token=token.get_secret_value() if token else None,
        config=config,
    )


@cache
def _descriptions() -> botocore.loaders.Loader:
    """botocore's description of S3: 12 MB, which every client would keep a copy of."""
    return botocore.loaders.Loader()


def has_credentials(settings: Settings) -> bool:
    """Whether there are keys to sign with, from the settings or boto3's own chain."""
    if settings.aws_access_key_id:
        return settings.aws_secret_access_key is not None
    return boto3.session.Session().get_credentials() is not None


@contextmanager
def translated(key: str = "") -> Iterator[None]:
    """Turns boto3's errors into ours, without URLs, keys of access or signatures.

    Raises ObjectMissing, ObjectChanged or StorageError.
    """
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _MISSING:
            raise ObjectMissing(f"There is no object '{key}' in storage.") from None
        if code == "NoSuchUpload":
            raise ObjectMissing(f"There is no upload of '{key}' in storage.") from None
        if code in _CHANGED:
            raise ObjectChanged(f"The object '{key}' was overwritten while in use.") from None
        if code in _DENIED:
            raise StorageError(
                "Storage refused access: check the keys and the permissions of the bucket "
                "with 'detect-api doctor'.",
                code="storage_denied",
            ) from None
        if code == "NoSuchBucket":
            raise StorageError(
                "The bucket does not exist: check S3_BUCKET_NAME and AWS_REGION.",
                code="storage_no_bucket",
            ) from None
        raise StorageError(f"Storage answered with the error {code or 'unknown'}.") from None
    except (BotoCoreError, HTTPClientError) as error:
        raise StorageError(
            f"Storage cannot be reached ({type(error).__name__}); trying again may help."
        ) from None


@dataclass
class S3Store:
    """An ObjectStore in one bucket.

    Parts are ``part_size`` bytes; larger where ``max_object_size`` would otherwise need more
    than S3's 10,000 parts.
    """

    client: S3Client
    bucket: str
    part_size: int

    @classmethod
    def from_settings(cls, settings: Settings) -> S3Store:
        """The store that the settings name; they must name a bucket."""
        assert settings.s3_bucket_name
        part_size = max(8 * MIB, -(-settings.max_file_size // MAX_PARTS))
        return cls(make_client(settings, public=False), settings.s3_bucket_name, part_size)

    def head(self, key: str) -> ObjectInfo:
        with translated(key):
            answer = self.client.head_object(Bucket=self.bucket, Key=key)
        return ObjectInfo(
            key=key,
            size=answer["ContentLength"],
            content_type=answer.get("ContentType", ""),
            etag=answer["ETag"],
            last_modified=answer["LastModified"],
            metadata=answer.get("Metadata", {}),
        )

    def read_range(self, key: str, start: int, length: int, etag: str | None = None) -> bytes:
        if length <= 0:
            return b""
        more: dict[str, Any] = {"IfMatch": etag} if etag else {}
        with translated(key):
            try:
                answer = self.client.get_object(
                    Bucket=self.bucket, Key=key, Range=f"bytes={start}-{start + length - 1}", **more
                )
                return answer["Body"].read()
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") == "InvalidRange":
                    return b""
                raise

    def put(self, key: str, body: bytes, content_type: str) -> None:
        with translated(key):
            self.client.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType=content_type)

    def put_file(self, key: str, body: BinaryIO, size: int, content_type: str) -> None:
        body.seek(0)
        with translated(key):
            self.client.put_object(
                Bucket=self.bucket,
                Key=key,
                Body=_SmallReads(body),  # type: ignore[arg-type]
                ContentLength=size,
                ContentType=content_type,
            )

    def begin(self, key: str, content_type: str, metadata: dict[str, str]) -> S3Upload:
        with translated(key):
            answer = self.client.create_multipart_upload(
                Bucket=self.bucket, Key=key, ContentType=content_type, Metadata=metadata
            )
        return S3Upload(self, key, answer["UploadId"])

    def resume(
        self,
        key: str,
        content_type: str,
        metadata: dict[str, str],
        upload_id: str,
        *,
        parts: Sequence[str],
        size: int,
    ) -> S3Upload:
        del content_type, metadata, size  # the store knows them since the upload began
        return S3Upload(self, key, upload_id, parts)

    def abort(self, key: str, upload_id: str) -> None:
        with suppress(ObjectMissing), translated(key):
            self.client.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload_id)

    def delete(self, key: str) -> bool:
        try:
            self.head(key)
        except ObjectMissing:
            return False
        with translated(key):
            self.client.delete_object(Bucket=self.bucket, Key=key)
        return True

    def delete_prefix(self, prefix: str) -> int:
        assert prefix.endswith("/")
        removed = 0
        with translated(prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=prefix
            )
            for page in pages:
                keys = [item["Key"] for item in page.get("Contents", [])]
                for key in keys:  # one by one: the batch call needs no other permission on AWS,
                    self.client.delete_object(
                        Bucket=self.bucket, Key=key
                    )  # but some stores lack it
                removed += len(keys)
        return removed

    def check(self) -> None:
        with translated(self.bucket):
            try:
                self.client.head_bucket(Bucket=self.bucket)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in _MISSING:
                    raise StorageError(
                        "The bucket does not exist: check S3_BUCKET_NAME and AWS_REGION.",
                        code="storage_no_bucket",
                    ) from None
                raise


class _SmallReads:
    """A file that is read in small pieces whatever size is asked for.

    botocore hashes bodies by the mebibyte, and many uploads run at once.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size if size < 0 else min(size, _PIECE))

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


class S3Upload:
    """A multipart upload in progress."""

    def __init__(self, store: S3Store, key: str, upload_id: str, parts: Sequence[str] = ()) -> None:
        self._store = store
        self._key = key
        self._parts: list[CompletedPartTypeDef] = [
            {"PartNumber": number, "ETag": etag} for number, etag in enumerate(parts, 1)
        ]
        self.id = upload_id

    def add_part(self, body: BinaryIO, size: int) -> str:
        number = len(self._parts) + 1
        body.seek(0)
        with translated(self._key):
            answer = self._store.client.upload_part(
                Bucket=self._store.bucket,
                Key=self._key,
                UploadId=self.id,
                PartNumber=number,
                Body=_SmallReads(body),  # type: ignore[arg-type]
                ContentLength=size,
            )
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        return answer["ETag"]

    def complete(self) -> ObjectInfo:
        with translated(self._key):
            self._store.client.complete_multipart_upload(
                Bucket=self._store.bucket,
                Key=self._key,
                UploadId=self.id,
                MultipartUpload={"Parts": self._parts},
            )
        return self._store.head(self._key)

    def abort(self) -> None:
        self._store.abort(self._key, self.id)
