"""What ``detect-api doctor`` tries out on the bucket, by doing what service and clients do.

Every object lies under a key of its own below ``S3_VIDEO_PREFIX`` and is removed again.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from detect_api.core.config import Settings
from detect_api.core.errors import DetectApiError
from detect_api.core.logging import redact
from detect_api.local.checks import Check
from detect_api.storage import s3_problem
from detect_api.storage.multipart import UploadGone
from detect_api.storage.s3 import make_client
from detect_api.storage.s3_multipart import PartSigner, S3Multipart

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BODY = b"0123456789" * 100
LIMIT = 2 * len(BODY)
HTTP_SECONDS = 15.0
SKEW_WARN_SECONDS = 60
SKEW_FAIL_SECONDS = 900  # S3 refuses signatures older than 15 minutes
CORS_ADVICE = (
    "Only browsers need it: allow POST and PUT from the page's origin and expose ETag, "
    "see docs/AWS_S3_INTEGRATION.md."
)


class _Refused(Exception):
    """The storage did not do what was tried."""


def s3_checks(settings: Settings, *, origin: str) -> Iterator[Check]:
    """Try the bucket that the settings name; ``origin`` is a page that would upload to it."""
    if problem := s3_problem(settings):
        yield Check("S3", "fail", problem, "See docs/AWS_S3_INTEGRATION.md, or ENABLE_S3=false.")
        return
    assert settings.s3_bucket_name
    internal = make_client(settings, public=False)
    public = make_client(settings, public=True)
    with httpx.Client(timeout=HTTP_SECONDS, trust_env=False) as http:
        trial = _Trial(internal, public, http, settings.s3_bucket_name, settings.s3_video_prefix)
        try:
            yield from trial.run(origin)
        finally:
            trial.remove_all()
            internal.close()
            public.close()


@dataclass
class _Trial:
    """One round through everything that the service asks of the bucket."""

    internal: S3Client
    public: S3Client
    http: httpx.Client
    bucket: str
    prefix: str
    made: list[str] = field(default_factory=list)

    def run(self, origin: str) -> Iterator[Check]:
        yield from self._bucket()
        if not self._reached:
            return
        steps: list[tuple[str, Callable[[], str], str]] = [
            ("S3 signed PUT", self._put, "Allow s3:PutObject"),
            ("S3 ranged GET", self._get, "Allow s3:GetObject"),
            ("S3 signed POST", self._post, "Allow s3:PutObject (for some stores also on the "
             "bucket itself)"),
            ("S3 size limit", self._post_too_large, "This store does not enforce the limits of an "
             "upload form: use another, or set ENABLE_S3=false"),
            ("S3 multipart", self._multipart, "Allow s3:PutObject, s3:AbortMultipartUpload, "
             "s3:ListMultipartUploadParts and, on the bucket, s3:ListBucketMultipartUploads"),
            ("S3 list", self._list, "Allow s3:ListBucket on the bucket"),
            ("S3 delete", self._delete, "Allow s3:DeleteObject"),
        ]  # fmt: skip
        for name, step, advice in steps:
            yield self._try(name, step, f"{advice} under {self.bucket}/{self.prefix}*.")
        yield self._cors(origin)

    def remove_all(self) -> None:
        """Remove what is left; a failure was reported by the step that deletes."""
        for key in self.made:
            try:
                self.internal.delete_object(Bucket=self.bucket, Key=key)
            except (ClientError, BotoCoreError):
                continue
        self.made.clear()

    _reached = False

    def _bucket(self) -> Iterator[Check]:
        label = f"S3 bucket {self.bucket}"
        headers: dict[str, str] = {}
        try:
            answer = self.internal.head_bucket(Bucket=self.bucket)
            headers = answer["ResponseMetadata"]["HTTPHeaders"]
        except ClientError as error:
            response: Any = error.response
            headers = response["ResponseMetadata"].get("HTTPHeaders", {})
            status = response["ResponseMetadata"].get("HTTPStatusCode")
            yield Check(label, "fail", f"HEAD answers {status}", _bucket_advice(status))
        except BotoCoreError as error:
            yield Check(
                label, "fail", redact(str(error)),
                "Check S3_ENDPOINT_URL, AWS_REGION and the network.",
            )  # fmt: skip
            return
        else:
            self._reached = True
            yield Check(label, "ok", "there, and the keys are right")
        yield _clock(headers.get("date"))

    def _try(self, name: str, step: Callable[[], str], advice: str) -> Check:
        try:
            return Check(name, "ok", step())
        except ClientError as error:
            return Check(name, "fail", f"answered {error.response['Error'].get('Code')}", advice)
        except DetectApiError as error:
            return Check(name, "fail", error.detail, advice)
        except UploadGone:
            return Check(name, "fail", "forgot an upload that it had just begun", advice)
        except (_Refused, BotoCoreError) as error:
            return Check(name, "fail", redact(str(error)), advice)
        except httpx.HTTPError as error:
            return Check(
                name, "fail", f"{self.public.meta.endpoint_url}: {type(error).__name__}",
                "Clients cannot reach it: check S3_PUBLIC_ENDPOINT_URL.",
            )  # fmt: skip

    def _key(self, name: str) -> str:
        key = f"{self.prefix}doctor-{secrets.token_hex(6)}-{name}"
        self.made.append(key)
        return key

    def _put(self) -> str:
        key = self._key("put")
        url = self.public.generate_presigned_url(
            "put_object", Params={"Bucket": self.bucket, "Key": key}, ExpiresIn=60
        )
        _expect(self.http.put(url, content=BODY), 200)
        return "stored an object"

    def _get(self) -> str:
        if not self.made:
            raise _Refused("there is no object to read")
        key = self.made[0]
        answer = self.internal.get_object(Bucket=self.bucket, Key=key, Range="bytes=5-14")
        if answer["Body"].read() != BODY[5:15]:
            raise _Refused("did not return the bytes that were asked for")
        return "returned the bytes that were asked for"

    def _form(self, body: bytes) -> httpx.Response:
        form = self.public.generate_presigned_post(
            Bucket=self.bucket,
            Key=self._key("post"),
            Fields={"Content-Type": "video/mp4"},
            Conditions=[{"Content-Type": "video/mp4"}, ["content-length-range", 1, LIMIT]],
            ExpiresIn=60,
        )
        url = form["url"] if form["url"].endswith("/") else form["url"] + "/"
        return self.http.post(url, data=form["fields"], files={"file": ("trial.mp4", body)})

    def _post(self) -> str:
        _expect(self._form(BODY), 200, 201, 204)
        return "stored an object"

    def _post_too_large(self) -> str:
        status = self._form(b"x" * (LIMIT + 1)).status_code
        if status < 400:
            raise _Refused(f"stored {LIMIT + 1} bytes although {LIMIT} were allowed")
        return f"refused what was too large ({status})"

    def _multipart(self) -> str:
        key = self._key("parts")
        parts = S3Multipart(self.internal, self.bucket)
        upload = parts.create(key, "video/mp4", {}, "SHA256")
        try:
            digest = base64.b64encode(hashlib.sha256(BODY).digest()).decode()
            signer = PartSigner(self.public, self.bucket, expires_in=60)
            part = signer.sign(key, upload, 1, len(BODY), ("SHA256", digest))
            damaged = self.http.put(part.url, content=BODY[::-1], headers=part.headers)
            if damaged.status_code < 400:
                raise _Refused("took a part that does not have its checksum")
            _expect(self.http.put(part.url, content=BODY, headers=part.headers), 200)
            if [held.number for held in parts.parts(key, upload)] != [1]:
                raise _Refused("did not list the part that was sent")
            if upload not in [one.upload_id for one in parts.open_uploads(key)]:
                raise _Refused("did not list the unfinished upload")
        finally:
            self.internal.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload)
        return "began an upload, took a part, refused a damaged one, listed and dropped it"

    def _list(self) -> str:
        answer = self.internal.list_objects_v2(
            Bucket=self.bucket, Prefix=f"{self.prefix}doctor-", MaxKeys=100
        )
        if not {item["Key"] for item in answer.get("Contents", [])} & set(self.made):
            raise _Refused("did not name the objects that were stored")
        return "named the objects that were stored"

    def _delete(self) -> str:
        for key in list(self.made):
            self.internal.delete_object(Bucket=self.bucket, Key=key)
            self.made.remove(key)
        return "removed all trial objects"

    def _cors(self, origin: str) -> Check:
        endpoint = self.public.generate_presigned_post(Bucket=self.bucket, Key="x")["url"]
        try:
            answer = self.http.options(
                endpoint if endpoint.endswith("/") else f"{endpoint}/",
                headers={"Origin": origin, "Access-Control-Request-Method": "POST"},
            )
        except httpx.HTTPError as error:
            return Check("S3 CORS", "warn", type(error).__name__, CORS_ADVICE)
        allowed = answer.headers.get("access-control-allow-origin")
        if allowed not in ("*", origin):
            return Check("S3 CORS", "warn", f"pages of {origin} may not upload", CORS_ADVICE)
        return Check("S3 CORS", "ok", f"pages of {origin} may upload")


def _expect(answer: httpx.Response, *statuses: int) -> None:
    if answer.status_code not in statuses:
        raise _Refused(f"answered {answer.status_code}: {redact(answer.text)[:200]}")


def _bucket_advice(status: int | None) -> str:
    if status == 404:
        return "There is no such bucket: create it, or check S3_BUCKET_NAME and AWS_REGION."
    if status == 403:
        return "Check the keys and this machine's clock, and allow s3:ListBucket on the bucket."
    if status in (301, 400):
        return "The bucket lies in another region: set AWS_REGION."
    return "Check the service at S3_ENDPOINT_URL."


def _clock(date: str | None) -> Check:
    if date is None:
        return Check("clock", "warn", "the storage does not tell its time", "Run NTP here.")
    skew = abs((datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds())
    detail = f"{skew:.0f} s apart from the storage's"
    advice = "Set this machine's clock (timedatectl set-ntp true): S3 refuses older signatures."
    if skew > SKEW_FAIL_SECONDS:
        return Check("clock", "fail", detail, advice)
    if skew > SKEW_WARN_SECONDS:
        return Check("clock", "warn", detail, advice)
    return Check("clock", "ok", detail)
