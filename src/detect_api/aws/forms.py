"""Forms for an upload by POST, honest and forged in each way that S3 must refuse."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LEAST, MOST = 10, 2000
BODY = b"0123456789" * 100
CONTENT_TYPE = "video/mp4"


@dataclass
class Form:
    """A form as a client would send it; ``file`` goes last."""

    url: str
    fields: dict[str, str]
    body: bytes = BODY

    def send(self, http: httpx.Client) -> httpx.Response:
        """What the store answers."""
        return http.post(self.url, data=self.fields, files={"file": ("trial.mp4", self.body)})


def sign(client: S3Client, bucket: str, key: str, *, seconds: int = 60) -> Form:
    """A form like those that the service hands out, for ``LEAST`` to ``MOST`` bytes."""
    fields = {
        "Content-Type": CONTENT_TYPE,
        "x-amz-meta-original-filename": "trial.mp4",
        "x-amz-meta-job-id": "trial",
    }
    signed = client.generate_presigned_post(
        Bucket=bucket,
        Key=key,
        Fields=dict(fields),
        Conditions=[
            *({name: value} for name, value in fields.items()),
            ["content-length-range", LEAST, MOST],
        ],
        ExpiresIn=seconds,
    )
    return Form(with_slash(signed["url"]), dict(signed["fields"]))


def with_slash(url: str) -> str:
    """The bucket's address as browsers need it: some stores answer preflights only there."""
    return url if url.endswith("/") else f"{url}/"


@dataclass(frozen=True)
class Forgery:
    """One forbidden variation.

    ``loose``: stores other than AWS are known to take it, which harms less than the others.
    """

    name: str
    forge: Callable[[S3Client, str, str], Form]
    loose: bool = False


def _altered(change: Callable[[Form], object]) -> Callable[[S3Client, str, str], Form]:
    def forge(client: S3Client, bucket: str, key: str) -> Form:
        form = sign(client, bucket, key)
        change(form)
        return form

    return forge


def _field(name: str, value: str) -> Callable[[S3Client, str, str], Form]:
    return _altered(lambda form: form.fields.update({name: value}))


def _without(name: str) -> Callable[[S3Client, str, str], Form]:
    return _altered(lambda form: form.fields.pop(name))


def _tampered(form: Form) -> None:
    policy: dict[str, Any] = json.loads(base64.b64decode(form.fields["policy"]))
    for condition in policy["conditions"]:
        if isinstance(condition, list) and condition[0] == "content-length-range":
            condition[2] *= 1000
    form.fields["policy"] = base64.b64encode(json.dumps(policy).encode()).decode()


def _bad_signature(form: Form) -> None:
    form.fields["x-amz-signature"] = secrets.token_hex(32)


def _unknown_key(form: Form) -> None:
    scope = form.fields["x-amz-credential"].split("/", 1)[1]
    form.fields["x-amz-credential"] = f"UNKNOWN{secrets.token_hex(4).upper()}/{scope}"


def _of_another_bucket(client: S3Client, bucket: str, key: str) -> Form:
    form = sign(client, f"{bucket}-other", key)
    form.url = sign(client, bucket, key).url
    return form


FORGERIES = (
    Forgery("too large", _altered(lambda form: setattr(form, "body", b"x" * (MOST + 1)))),
    Forgery("too small", _altered(lambda form: setattr(form, "body", b"x" * (LEAST - 1)))),
    Forgery("another key", _altered(
        lambda form: form.fields.update(key=f"{form.fields['key']}-forged"))),
    Forgery("another type", _field("Content-Type", "text/html")),
    Forgery("no type", _without("Content-Type")),
    Forgery("another job id", _field("x-amz-meta-job-id", "forged")),
    Forgery("no job id", _without("x-amz-meta-job-id")),
    Forgery("another file name", _field("x-amz-meta-original-filename", "forged.mp4")),
    Forgery("more metadata", _field("x-amz-meta-forged", "1")),
    Forgery("expired", lambda client, bucket, key: sign(client, bucket, key, seconds=-60)),
    Forgery("another policy", _altered(_tampered)),
    Forgery("no policy", _without("policy")),
    Forgery("bad signature", _altered(_bad_signature)),
    Forgery("no signature", _without("x-amz-signature")),
    Forgery("unknown access key", _altered(_unknown_key)),
    Forgery("of another bucket", _of_another_bucket),
    Forgery("public ACL", _field("acl", "public-read"), loose=True),
    Forgery("unsigned field", _field("forged", "1"), loose=True),
)  # fmt: skip
