"""What is tried out on a bucket, by doing what service and clients do.

Every object lies under a key of its own below ``S3_VIDEO_PREFIX`` and is removed again.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from detect_api.aws.forms import BODY, CONTENT_TYPE, MOST, Forgery, Form, sign
from detect_api.storage.s3_multipart import PartSigner

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NAME = "check-"
WHOLE, DROPPED = "whole", "dropped"
_DIGEST = base64.b64encode(hashlib.sha256(BODY).digest()).decode()


class Refused(Exception):
    """The storage did not do what was tried, or did what it must not do."""

    def __init__(self, words: str, status: int = 0) -> None:
        super().__init__(words)
        self.status = status
        """What it answered, where that says why."""


class NotTried(Exception):
    """A step before this one failed, so this one would tell nothing."""


@dataclass
class Trial:
    """One round through what the service asks of the bucket.

    ``internal`` talks for the service, ``public`` signs for clients, ``http`` is the client.
    Each public method does one thing, returns what happened in a few words, and raises Refused,
    NotTried, ClientError, BotoCoreError or httpx.HTTPError.
    """

    internal: S3Client
    public: S3Client
    http: httpx.Client
    bucket: str
    prefix: str
    made: list[str] = field(default_factory=list)
    uploads: dict[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    """Keys under which the store took a forged form and said so."""
    stored: str | None = None
    """The object that other steps look at, once it is there."""
    version: str = "null"
    """Of that object; S3's name for the only one where a bucket never kept versions."""
    readable: bool = False
    etag: str | None = None
    """Of the part that was sent."""
    keeps_versions: bool = False
    """Whether deleting was seen to leave an old version behind."""
    names: set[str] = field(default_factory=set)
    """All keys under which something was or may have been stored."""
    lists_versions: bool = False
    deletes_versions: bool = False

    def key(self, name: str) -> str:
        """A new key, which is removed in the end."""
        key = f"{self.prefix}{NAME}{secrets.token_hex(6)}-{name}"
        self.made.append(key)
        self.names.add(key)
        return key

    def put(self) -> str:
        key = self.key("put")
        url = self.public.generate_presigned_url(
            "put_object", Params={"Bucket": self.bucket, "Key": key}, ExpiresIn=60
        )
        answer = self.http.put(url, content=BODY)
        _expect(answer, 200)
        self.stored, self.version = key, answer.headers.get("x-amz-version-id", "null")
        return "stored an object"

    def head(self) -> str:
        size = self.internal.head_object(Bucket=self.bucket, Key=self._object())["ContentLength"]
        if size != len(BODY):
            raise Refused(f"said {size} bytes for {len(BODY)}")
        self.readable = True
        return "told the size"

    def missing(self) -> str:
        if not self.readable:  # it would be forbidden for that reason alone
            raise NotTried("not tried: objects that are there cannot be looked at")
        try:
            self.internal.head_object(
                Bucket=self.bucket, Key=f"{self.prefix}{NAME}{secrets.token_hex(6)}-missing"
            )
        except ClientError as error:
            status = error.response["ResponseMetadata"].get("HTTPStatusCode")
            if status == 404:
                return "told a missing object from a forbidden one"
            raise Refused(
                f"answered {status} for an object that is not there", status or 0
            ) from None
        raise Refused("told of an object that is not there")

    def get(self) -> str:
        answer = self.internal.get_object(
            Bucket=self.bucket, Key=self._object(), Range="bytes=5-14"
        )
        if answer["Body"].read() != BODY[5:15]:
            raise Refused("did not return the bytes that were asked for")
        return "returned the bytes that were asked for"

    def signed_get(self) -> str:
        url = self.public.generate_presigned_url(
            "get_object", Params={"Bucket": self.bucket, "Key": self._object()}, ExpiresIn=60
        )
        answer = self.http.get(url, headers={"Range": "bytes=5-14"})
        _expect(answer, 206)
        if answer.content != BODY[5:15]:
            raise Refused("did not return the bytes that were asked for")
        return "returned the bytes that were asked for"

    def post(self) -> str:
        _expect(self.form("post").send(self.http), 200, 201, 204)
        return "stored an object"

    def post_too_large(self) -> str:
        form = self.form("large")
        form.body = b"x" * (MOST + 1)
        return f"refused what was too large ({self._refusal(form)})"

    def forged(self, forgery: Forgery) -> str:
        """The store must refuse, and must have stored nothing."""
        key = self.key("forged")
        self.made.append(f"{key}-forged")  # the key that one of them asks for
        self.names.add(f"{key}-forged")
        try:
            return f"refused ({self._refusal(forgery.forge(self.public, self.bucket, key))})"
        except Refused:
            self.taken.add(key)
            raise

    def nothing_forged(self) -> str:
        """Whether one of the forged forms has left an object."""
        left = [key for key in self._listed() if "-forged" in key and key in self.made]
        left = [key for key in left if key not in self.taken]  # these were told of already
        if left:
            raise Refused(f"{len(left)} forged uploads were answered with an error and stored")
        return "nothing of it was stored"

    def form(self, name: str) -> Form:
        return sign(self.public, self.bucket, self.key(name))

    def begin(self) -> str:
        """Begins one upload to complete, and one to abort."""
        for name in (WHOLE, DROPPED):
            key = self.key(name)
            answer = self.internal.create_multipart_upload(
                Bucket=self.bucket, Key=key, ContentType=CONTENT_TYPE, ChecksumAlgorithm="SHA256"
            )
            self.uploads[key] = answer["UploadId"]
        return "began two uploads"

    def part(self) -> str:
        key, upload = self._upload(WHOLE)
        answer = self._send_part(key, upload, BODY)
        _expect(answer, 200)
        self.etag = answer.headers["etag"]
        return "took a part"

    def damaged_part(self) -> str:
        key, upload = self._upload(DROPPED)
        if self._send_part(key, upload, BODY[::-1]).status_code < 400:
            raise Refused("took a part that does not have its checksum")
        return "refused a part that does not have its checksum"

    def _send_part(self, key: str, upload: str, body: bytes) -> httpx.Response:
        signer = PartSigner(self.public, self.bucket, expires_in=60)
        part = signer.sign(key, upload, 1, len(BODY), ("SHA256", _DIGEST))
        return self.http.put(part.url, content=body, headers=part.headers)

    def list_parts(self) -> str:
        key, upload = self._upload(WHOLE)
        if self.etag is None:
            raise NotTried("not tried: no part was sent")
        found = self.internal.list_parts(Bucket=self.bucket, Key=key, UploadId=upload)
        sizes = [part["Size"] for part in found.get("Parts", [])]
        if sizes != [len(BODY)]:
            raise Refused(f"named the parts {sizes} instead of one of {len(BODY)} bytes")
        return "named the part"

    def list_uploads(self) -> str:
        key, _ = self._upload(WHOLE)
        found = self.internal.list_multipart_uploads(Bucket=self.bucket, Prefix=key)
        if key not in [upload["Key"] for upload in found.get("Uploads", [])]:
            raise Refused("did not name the upload that runs")
        return "named the upload"

    def complete(self) -> str:
        key, upload = self._upload(WHOLE)
        if self.etag is None:
            raise NotTried("not tried: no part was sent")
        self.internal.complete_multipart_upload(
            Bucket=self.bucket,
            Key=key,
            UploadId=upload,
            MultipartUpload={
                "Parts": [{"PartNumber": 1, "ETag": self.etag, "ChecksumSHA256": _DIGEST}]
            },
        )
        del self.uploads[key]
        return "made an object of the part"

    def abort(self) -> str:
        key, upload = self._upload(DROPPED)
        self.internal.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload)
        del self.uploads[key]
        return "dropped an upload"

    def multipart(self) -> str:
        """The short form for ``doctor``."""
        self.begin()
        self.part()
        for key, upload in list(self.uploads.items()):
            self.internal.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload)
            del self.uploads[key]
        return "began an upload, sent a part, aborted it"

    def list_objects(self) -> str:
        self._object()
        if not set(self._listed()) & set(self.made):
            raise Refused("did not name the objects that were stored")
        return "named the objects that were stored"

    def delete(self) -> str:
        for key in list(self.made):
            self._delete(key)
        return "removed all trial objects"

    def list_versions(self) -> str:
        key = self._object()
        found = self.internal.list_object_versions(Bucket=self.bucket, Prefix=key)
        if key not in [version["Key"] for version in found.get("Versions", [])]:
            raise Refused("did not name the version of an object that is there")
        self.lists_versions = True
        return "named the version of an object"

    def delete_versions(self) -> str:
        """Deletes one by its id. The call for many would need s3:DeleteObject as well."""
        key = self._object()
        self.internal.delete_object(Bucket=self.bucket, Key=key, VersionId=self.version)
        self.deletes_versions = True
        return "deleted a version"

    def _clear_versions(self) -> None:
        """Deletes the versions of objects that are deleted, where that is allowed."""
        if not (self.lists_versions and self.deletes_versions):
            return
        pages = self.internal.get_paginator("list_object_versions").paginate(
            Bucket=self.bucket, Prefix=f"{self.prefix}{NAME}"
        )
        for page in pages:
            found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            ours = [
                (one["Key"], one["VersionId"])
                for one in found
                if one["Key"] in self.names and one["Key"] not in self.made
            ]
            for key, version in ours:
                self.internal.delete_object(Bucket=self.bucket, Key=key, VersionId=version)
        self.keeps_versions = False

    def remove_all(self) -> list[str]:
        """Removes what is left; returns the keys that could not be removed."""
        for key, upload in list(self.uploads.items()):
            try:
                self.internal.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload)
                del self.uploads[key]
            except (ClientError, BotoCoreError):
                continue
        for key in list(self.made):
            try:
                self._delete(key)
            except (ClientError, BotoCoreError):
                continue
        with suppress(ClientError, BotoCoreError):  # then ``keeps_versions`` stays
            self._clear_versions()
        try:
            there = set(self._listed()) if self.made else set()
        except (ClientError, BotoCoreError):
            there = set(self.made)  # for all that is known
        return [*self.uploads, *(key for key in self.made if key in there)]

    def _delete(self, key: str) -> None:
        answer = self.internal.delete_object(Bucket=self.bucket, Key=key)
        self.keeps_versions = self.keeps_versions or bool(answer.get("DeleteMarker"))
        self.made.remove(key)

    def _object(self) -> str:
        if self.stored is None:
            raise NotTried("not tried: there is no object to look at")
        return self.stored

    def _upload(self, name: str) -> tuple[str, str]:
        for key, upload in self.uploads.items():
            if key.endswith(name):
                return key, upload
        raise NotTried("not tried: there is no upload to go on with")

    def _listed(self) -> list[str]:
        pages = self.internal.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=f"{self.prefix}{NAME}"
        )
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def _refusal(self, form: Form) -> int:
        status = form.send(self.http).status_code
        if status < 300:
            raise Refused(f"stored it ({status})")
        if not 400 <= status < 500:
            raise Refused(f"answered {status}")
        return status


def _expect(answer: httpx.Response, *statuses: int) -> None:
    if answer.status_code not in statuses:
        code = re.search(r"<Code>(\w+)</Code>", answer.text)
        words = f"answered {answer.status_code}" + (f" {code[1]}" if code else "")
        raise Refused(words, answer.status_code)
