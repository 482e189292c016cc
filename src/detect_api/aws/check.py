"""``detect-api s3 check``, and the part of ``detect-api doctor`` that is about S3."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Literal

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from detect_api.aws.connection import DENIED, code_of, is_aws
from detect_api.aws.forms import BODY, FORGERIES, with_slash
from detect_api.aws.trial import NotTried, Refused, Trial
from detect_api.core.config import Settings
from detect_api.core.logging import redact
from detect_api.local.checks import Check
from detect_api.storage import s3_problem
from detect_api.storage.s3 import make_client

HTTP_SECONDS = 15.0
SKEW_WARN_SECONDS = 60
SKEW_FAIL_SECONDS = 900  # S3 refuses signatures older than 15 minutes
CORS_ADVICE = (
    "Only browsers need it: allow it with 'detect-api s3 setup --origin', see "
    "docs/AWS_S3_INTEGRATION.md."
)
CLOSE_TO_FORMS = (
    "This store does not hold clients to a form's conditions: use another, or set ENABLE_S3=false."
)
Step = tuple[str, Callable[[], str], str]


def s3_checks(
    settings: Settings, *, origins: Sequence[str], thorough: bool = False
) -> Iterator[Check]:
    """Tries the bucket that the settings name; ``origins`` are pages that would upload to it.

    ``thorough``: each permission by itself, every forbidden variation of a form, and an origin
    that is refused is a failure, not a warning.
    """
    if problem := s3_problem(settings):
        yield Check("S3", "fail", problem, "See docs/AWS_S3_INTEGRATION.md, or ENABLE_S3=false.")
        return
    assert settings.s3_bucket_name
    internal = make_client(settings, public=False)
    public = make_client(settings, public=True)
    with httpx.Client(timeout=HTTP_SECONDS, trust_env=False) as http:
        trial = Trial(internal, public, http, settings.s3_bucket_name, settings.s3_video_prefix)
        try:
            reached, about_bucket = _bucket(trial)
            yield from about_bucket
            if reached:  # else the rest would only repeat it
                yield from _round(trial, origins, thorough)
        finally:
            trial.remove_all()
            internal.close()
            public.close()


def _round(trial: Trial, origins: Sequence[str], thorough: bool) -> Iterator[Check]:
    for step in _steps(trial) if thorough else _short_steps(trial):
        check = _without_versions(_try(trial, *step))
        yield check
        if step[0] == "S3 multipart: signed part" and check.status == "ok":
            yield _damaged(trial)
        if thorough and step[0] == "S3 signed POST":
            yield from _forgeries(trial, honest=check.status == "ok")
    for origin in origins:
        yield from _cors(trial, origin, thorough)
    if thorough:
        if not origins:
            yield Check(
                "S3 CORS", "warn", "not tried: no origin is named",
                "If pages upload, name theirs with --origin.",
            )  # fmt: skip
        left = trial.remove_all()
        if left:
            yield Check(
                "S3 clean-up", "fail", f"left in the bucket: {', '.join(left)}",
                "Remove these by hand; the service needs s3:DeleteObject and "
                "s3:AbortMultipartUpload.",
            )  # fmt: skip
        else:
            old = ", but old versions for the lifecycle rule" if trial.keeps_versions else ""
            yield Check("S3 clean-up", "ok", f"nothing is left in the bucket{old}")


def _damaged(trial: Trial) -> Check:
    """Some stores know no checksums: uploads work there, but nothing guards a part on its way."""
    check = _try(trial, "S3 multipart: damaged part", trial.damaged_part, "")
    if check.status == "ok":
        return check
    advice = "This store does not guard parts with checksums; compare the files' digests instead."
    return Check(check.name, "warn", check.detail, advice)


def _without_versions(check: Check) -> Check:
    """Where a store does not know the calls for versions, there is nothing that they would find."""
    if check.name.startswith("S3 versions") and check.detail in _UNKNOWN_CALL:
        return Check(check.name, "warn", check.detail, "This store keeps no versions of objects.")
    return check


_UNKNOWN_CALL = {"answered NotImplemented", "answered MethodNotAllowed"}


def _short_steps(trial: Trial) -> Iterator[Step]:
    objects = f"under {trial.bucket}/{trial.prefix}*."
    yield "S3 signed PUT", trial.put, f"Allow s3:PutObject {objects}"
    yield "S3 ranged GET", trial.get, f"Allow s3:GetObject {objects}"
    yield "S3 signed POST", trial.post, _post_advice(trial)
    yield "S3 size limit", trial.post_too_large, CLOSE_TO_FORMS
    yield (
        "S3 multipart", trial.multipart,
        f"Allow s3:PutObject and s3:AbortMultipartUpload {objects}",
    )  # fmt: skip
    yield "S3 list", trial.list_objects, f"Allow s3:ListBucket on {trial.bucket}."
    yield "S3 delete", trial.delete, f"Allow s3:DeleteObject {objects}"


def _steps(trial: Trial) -> Iterator[Step]:
    objects, bucket = f"under {trial.bucket}/{trial.prefix}*.", f"on {trial.bucket}."
    yield "S3 signed PUT", trial.put, f"Allow s3:PutObject {objects}"
    yield "S3 HEAD", trial.head, f"Allow s3:GetObject {objects} (It covers HEAD.)"
    yield "S3 missing object", trial.missing, f"Allow s3:ListBucket {bucket}"
    yield "S3 ranged GET", trial.get, f"Allow s3:GetObject {objects}"
    yield "S3 signed GET", trial.signed_get, f"Allow s3:GetObject {objects}"
    yield "S3 signed POST", trial.post, _post_advice(trial)
    yield "S3 multipart: begin", trial.begin, f"Allow s3:PutObject {objects}"
    yield "S3 multipart: signed part", trial.part, f"Allow s3:PutObject {objects}"
    yield (
        "S3 multipart: list parts", trial.list_parts,
        f"Allow s3:ListMultipartUploadParts {objects}",
    )  # fmt: skip
    yield (
        "S3 multipart: list uploads", trial.list_uploads,
        f"Allow s3:ListBucketMultipartUploads {bucket}",
    )  # fmt: skip
    yield (
        "S3 multipart: complete", trial.complete,
        f"Allow s3:PutObject {objects}",
    )  # fmt: skip
    yield "S3 multipart: abort", trial.abort, f"Allow s3:AbortMultipartUpload {objects}"
    yield "S3 list", trial.list_objects, f"Allow s3:ListBucket {bucket}"
    yield "S3 versions: list", trial.list_versions, f"Allow s3:ListBucketVersions {bucket}"
    yield "S3 versions: delete", trial.delete_versions, f"Allow s3:DeleteObjectVersion {objects}"
    yield "S3 delete", trial.delete, f"Allow s3:DeleteObject {objects}"


def _post_advice(trial: Trial) -> str:
    return (
        f"Allow s3:PutObject under {trial.bucket}/{trial.prefix}*. (For some stores also on the "
        "bucket itself.)"
    )


def _forgeries(trial: Trial, *, honest: bool) -> Iterator[Check]:
    """Every forbidden form; only where an honest one works does a refusal tell anything."""
    if not honest:
        yield Check(
            "S3 forged POST", "warn", "not tried, since an honest one fails",
            "Mend that first, then run this again.",
        )  # fmt: skip
        return
    aws = is_aws(trial.public)
    for forgery in FORGERIES:
        check = _try(
            trial, f"S3 forged POST: {forgery.name}",
            partial(trial.forged, forgery), CLOSE_TO_FORMS,
        )  # fmt: skip
        if check.status == "fail" and forgery.loose and not aws:
            yield Check(
                check.name, "warn", f"{check.detail}; AWS refuses it",
                "Known of other stores, and harmless as long as the bucket is not public.",
            )  # fmt: skip
        else:
            yield check
    yield _try(trial, "S3 forged POST: stored", trial.nothing_forged, CLOSE_TO_FORMS)


def _try(trial: Trial, name: str, step: Callable[[], str], advice: str) -> Check:
    try:
        return Check(name, "ok", step())
    except NotTried as error:
        return Check(name, "warn", str(error), "Mend what fails above, then run this again.")
    except ClientError as error:
        code = code_of(error)
        return Check(name, "fail", f"answered {code}", _fitting(advice, code in DENIED))
    except Refused as error:
        return Check(name, "fail", redact(str(error)), _fitting(advice, error.status == 403))
    except BotoCoreError as error:
        return Check(name, "fail", redact(str(error)), _fitting(advice, False))
    except httpx.HTTPError as error:
        return Check(
            name, "fail", f"{trial.public.meta.endpoint_url}: {type(error).__name__}",
            "Clients cannot reach it: check S3_PUBLIC_ENDPOINT_URL.",
        )  # fmt: skip


def _fitting(advice: str, denied: bool) -> str:
    """Another error than a refusal is not mended by a permission."""
    if denied or not advice.startswith("Allow"):
        return advice
    return "This is not about permissions: look into the store's own log, or ask who runs it."


def _bucket(trial: Trial) -> tuple[bool, list[Check]]:
    label = f"S3 bucket {trial.bucket}"
    try:
        answer = trial.internal.head_bucket(Bucket=trial.bucket)
    except ClientError as error:
        metadata: Any = error.response["ResponseMetadata"]
        status = metadata.get("HTTPStatusCode")
        return False, [
            Check(label, "fail", f"HEAD answers {status}", _bucket_advice(status)),
            _clock(metadata.get("HTTPHeaders", {}).get("date")),
        ]
    except BotoCoreError as error:
        advice = "Check S3_ENDPOINT_URL, AWS_REGION and the network."
        return False, [Check(label, "fail", redact(str(error)), advice)]
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    return True, [
        Check(label, "ok", "there, and the keys are right"),
        _clock(headers.get("date")),
    ]


def _bucket_advice(status: int | None) -> str:
    if status == 404:
        return (
            "There is no such bucket: create it with 'detect-api s3 setup', or check "
            "S3_BUCKET_NAME and AWS_REGION."
        )
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


def _cors(trial: Trial, origin: str, thorough: bool) -> Iterator[Check]:
    """What a browser asks before it lets a page of ``origin`` upload."""
    address = with_slash(trial.public.generate_presigned_post(Bucket=trial.bucket, Key="x")["url"])
    bad: Literal["fail", "warn"] = "fail" if thorough else "warn"
    label = f"S3 CORS {origin}" if thorough else "S3 CORS"
    methods = ("POST", "PUT", "GET") if thorough else ("POST",)
    try:
        refused = [
            method for method in methods if not _preflight(trial.http, address, origin, method)
        ]
        exposed = not thorough or bool(refused) or _exposes_etag(trial, origin)
    except httpx.HTTPError as error:
        yield Check(label, "warn", type(error).__name__, CORS_ADVICE)
        return
    if refused:
        what = "upload" if "POST" in refused else f"send {' and '.join(refused)}"
        yield Check(label, bad, f"pages of {origin} may not {what}", CORS_ADVICE)
    elif not exposed:
        yield Check(label, bad, "ETag is hidden from pages, which multipart needs", CORS_ADVICE)
    else:
        yield Check(label, "ok", f"pages of {origin} may upload")


def _preflight(http: httpx.Client, address: str, origin: str, method: str) -> bool:
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    if method == "PUT":
        asked["Access-Control-Request-Headers"] = "content-type,x-amz-checksum-crc32c"
        address += "trial.mp4"
    answer = http.options(address, headers=asked)
    allowed = answer.headers.get("access-control-allow-origin")
    methods = answer.headers.get("access-control-allow-methods", method)
    return allowed in ("*", origin) and method in methods


def _exposes_etag(trial: Trial, origin: str) -> bool:
    url = trial.public.generate_presigned_url(
        "put_object", Params={"Bucket": trial.bucket, "Key": trial.key("cors")}, ExpiresIn=60
    )
    answer = trial.http.put(url, content=BODY, headers={"Origin": origin})
    if answer.status_code >= 400:
        return True  # which the line about PUT has told
    return "etag" in answer.headers.get("access-control-expose-headers", "").lower()
