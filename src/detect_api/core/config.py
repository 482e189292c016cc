"""All settings, read in one place from the environment and from ``.env``.

Nothing else in the program looks at ``os.environ``. A ``Settings`` object is passed down as an
argument; tests make their own.
"""

from __future__ import annotations

import base64
import binascii
import os
import sys
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, FilePath, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from detect_api.core.network import Network, is_loopback, networks_in

MIB = 1024 * 1024


def default_data_dir() -> Path:
    """Where the embedded stack keeps its data: the user's own data directory."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "detect-api"
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "detect-api"


class Settings(BaseSettings):
    """The service's settings; each one's name in the environment is its name in capitals."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True
    )

    enable_s3: bool | None = Field(
        None,
        description="true: use the S3 named below. false: no S3 at all, uploads go through the API "
        "into DATA_DIR. Unset: the S3 named below if S3_BUCKET_NAME is set, else the embedded one.",
    )
    aws_access_key_id: str | None = Field(
        None, description="S3 access key. Unset: boto3's own chain (role, profile, session)."
    )
    aws_secret_access_key: SecretStr | None = Field(None, description="S3 secret key.")
    aws_session_token: SecretStr | None = Field(
        None, description="Session token that belongs to temporary S3 keys."
    )
    aws_region: str = Field("us-east-1", description="Region of the bucket.")
    s3_bucket_name: str | None = Field(None, description="Bucket for videos and pictures.")
    s3_upload_expiration: int = Field(
        3600, ge=1, le=604800, description="Seconds that a pre-signed upload stays valid."
    )
    s3_download_expiration: int = Field(
        86400,
        ge=1,
        le=604800,
        description="Seconds that a signed address of a video, for playing it, stays valid.",
    )
    s3_video_prefix: str = Field(
        "videos/", description="Key prefix under which all objects of the service lie."
    )
    s3_endpoint_url: str | None = Field(
        None, description="Endpoint of an S3 other than AWS, as the service reaches it."
    )
    s3_public_endpoint_url: str | None = Field(
        None,
        description="The same endpoint as clients reach it; pre-signed URLs name it. "
        "Unset: S3_ENDPOINT_URL.",
    )
    s3_use_accelerate: bool = Field(
        False, description="Sign uploads for S3 Transfer Acceleration (AWS only)."
    )
    cloudfront_domain: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9.\-]+$",
        description="Host of a CloudFront distribution in front of the bucket: videos are played "
        "from there. Set all three of CLOUDFRONT_… or none.",
    )
    cloudfront_key_pair_id: str | None = Field(
        None, description="Id of the public key that CloudFront checks signatures with."
    )
    cloudfront_private_key_file: Path | None = Field(
        None, description="PEM file with the RSA key that belongs to it, without a password."
    )
    s3_events_token: SecretStr | None = Field(
        None,
        min_length=16,
        description="Token with which the bucket's events are taken at POST /events/s3. Unset: "
        "none are.",
    )
    s3_events_queue_url: str | None = Field(
        None, description="SQS queue with the bucket's events; workers ask it for them."
    )
    s3_events_endpoint_url: str | None = Field(
        None, description="Endpoint of an SQS other than AWS."
    )

    max_file_size: int = Field(
        524288000, ge=1, description="Largest video in bytes, by POST form or through the API."
    )
    max_multipart_size: int = Field(
        5497558138880,
        ge=1,
        le=10_000 * 5 * 1024 * MIB,
        description="Largest video in bytes that is uploaded straight to S3 in parts.",
    )
    multipart_expiration: int = Field(
        604800,
        ge=60,
        le=365 * 86400,
        description="Seconds without a newly signed part after which an unfinished upload in parts "
        "is dropped.",
    )
    chunk_size: int = Field(
        1048576,
        ge=65536,
        le=64 * MIB,
        description="Bytes of an upload through the API held in memory at most.",
    )
    upload_timeout_seconds: int = Field(
        600, ge=1, description="Longest time that one upload through the API may take."
    )

    tus_expiration: int = Field(
        86400,
        ge=60,
        le=2592000,
        description="Seconds without a byte after which a resumable upload (tus) is dropped.",
    )

    database_url: str | None = Field(
        None, description="PostgreSQL, postgresql://…; unset: the embedded one in DATA_DIR."
    )
    data_dir: Path = Field(
        default_factory=default_data_dir,
        description="Where the embedded database and storage, and uploads without S3, are kept.",
    )
    host: str = Field("127.0.0.1", description="Address the API listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port the API listens on; 0: a free one.")
    allow_without_keys: bool = Field(
        False,
        description="Start on an address other than loopback although there are no keys, so that "
        "whoever reaches the port may do everything; on loopback, answer to every name and page.",
    )
    rate_limit_per_minute: int = Field(
        6000,
        ge=0,
        le=1_000_000,
        description="Requests a minute of each key that has no limit of its own, for each API "
        "process. 0: no limit.",
    )
    audit_retention_days: int = Field(
        365, ge=1, le=36500, description="Days for which the audit log is kept."
    )
    cors_origins: str = Field(
        "", description="Origins whose pages may call the API, separated by commas; * for all."
    )
    workers: int = Field(
        1, ge=0, le=256, description="Worker processes that serve starts; 0: none, API only."
    )
    worker_threads: int = Field(
        0, ge=0, le=256, description="Threads for inference in each worker; 0: cores / WORKERS - 1."
    )
    worker_metrics_port: int = Field(
        0,
        ge=0,
        le=65535 - 256,
        description="Port on which a worker tells its metrics; the second of 'serve' takes the "
        "next one, and so on. 0: none.",
    )
    cloudwatch_metrics_seconds: float = Field(
        0.0,
        ge=0,
        le=3600,
        description="Write the metrics to standard output so often, in CloudWatch's embedded "
        "metric format. 0: never.",
    )
    otel_exporter_otlp_endpoint: str | None = Field(
        None,
        description="Where to send OpenTelemetry traces, by OTLP over HTTP; unset: nowhere.",
    )
    device: str = Field("CPU", description="Device for inference, as OpenVINO names it.")
    log_format: Literal["console", "json"] = Field("console", description="How log lines look.")
    log_file: Path | None = Field(None, description="Also write the log, as JSON lines, here.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="The least level that is logged."
    )

    webhook_secret: SecretStr | None = Field(
        None,
        description="Signs webhooks: whsec_ and the Base64 of 24 to 64 random bytes. Several, "
        "separated by spaces, sign all at once, so that receivers can change over one by one. "
        "Unset: no webhooks.",
    )
    webhook_url: SecretStr | None = Field(
        None, description="Receiver that hears of every video, besides the job's own webhook_url."
    )
    webhook_allow_http: bool = Field(
        False, description="Also send webhooks to http:// URLs, where anybody on the way can read."
    )
    webhook_allowed_networks: str = Field(
        "",
        description="Networks to which webhooks may go although they are private, in CIDR "
        "notation, separated by commas.",
    )
    webhook_ca_file: FilePath | None = Field(
        None,
        description="Certificates (PEM) of authorities that receivers may have, besides the "
        "public ones.",
    )
    webhook_retention_days: int = Field(
        30, ge=1, le=3650, description="Days for which deliveries that have ended stay in the log."
    )

    retention_video_days: int | None = Field(
        None,
        ge=1,
        le=36500,
        description="Days after a job's end for which its video is kept; unset: for ever.",
    )
    retention_picture_days: int | None = Field(
        None, ge=1, le=36500, description="The same for pictures of plates."
    )
    retention_plate_days: int | None = Field(
        None,
        ge=1,
        le=36500,
        description="The same for the plates' texts, times and places, and with them their "
        "pictures.",
    )
    receipt_key: SecretStr | None = Field(
        None,
        description="Signs receipts of deletions: the Base64 of 32 random bytes. Unset: a key "
        "that the service makes once and keeps in its database.",
    )
    plate_hash_key: SecretStr | None = Field(
        None,
        min_length=32,
        description="Keep a keyed hash of each plate's text in place of the text; any 32 "
        "characters or more without spaces, never to be lost.",
    )
    plate_hash_old_keys: SecretStr | None = Field(
        None,
        description="Keys that PLATE_HASH_KEY was before, with spaces between them: texts that "
        "were hashed by them are found and forgotten, too.",
    )
    hashed_keep_pictures: bool = Field(
        False, description="With PLATE_HASH_KEY: keep the pictures of plates all the same."
    )

    segment_seconds: float = Field(
        10.0, ge=0.5, le=600, description="Length of video that one unit of work covers."
    )
    max_pixels: int = Field(
        8192 * 4352, ge=1, description="Largest width x height of a video that is decoded."
    )
    max_duration_seconds: float = Field(
        24 * 3600.0, gt=0, description="Longest video that is processed."
    )
    decode_memory_bytes: int = Field(
        3 * 1024 * MIB, ge=256 * MIB, description="Address space of the decoding child process."
    )
    decode_stall_seconds: float = Field(
        60.0, gt=0, description="The decoding child is killed after so long without a frame."
    )

    @field_validator("s3_video_prefix")
    @classmethod
    def _prefix(cls, value: str) -> str:
        value = value.lstrip("/")
        if not value:
            raise ValueError("S3_VIDEO_PREFIX must not be empty: give it a folder such as videos/")
        return value if value.endswith("/") else value + "/"

    @field_validator(
        "enable_s3", "s3_bucket_name", "s3_endpoint_url", "s3_public_endpoint_url",
        "aws_access_key_id", "aws_secret_access_key", "aws_session_token", "database_url",
        "s3_events_token", "s3_events_queue_url", "s3_events_endpoint_url", "log_file",
        "cloudfront_domain", "cloudfront_key_pair_id", "cloudfront_private_key_file",
        "otel_exporter_otlp_endpoint", "webhook_secret", "webhook_url", "webhook_ca_file",
        "retention_video_days", "retention_picture_days", "retention_plate_days", "receipt_key",
        "plate_hash_key", "plate_hash_old_keys",
        mode="before",
    )  # fmt: skip
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value

    @model_validator(mode="after")
    def _all_of_cloudfront(self) -> Self:
        given = (
            self.cloudfront_domain, self.cloudfront_key_pair_id, self.cloudfront_private_key_file
        )  # fmt: skip
        if any(given) and not all(given):
            raise ValueError(
                "CLOUDFRONT_DOMAIN, CLOUDFRONT_KEY_PAIR_ID and CLOUDFRONT_PRIVATE_KEY_FILE belong "
                "together: set all three or none"
            )
        return self

    @field_validator("webhook_secret")
    @classmethod
    def _secrets_are_long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        for secret in value.get_secret_value().split() if value else ():
            try:
                size = len(base64.b64decode(secret.removeprefix("whsec_"), validate=True))
            except binascii.Error:
                size = 0
            if not secret.startswith("whsec_") or not 24 <= size <= 64:
                raise ValueError(
                    "WEBHOOK_SECRET must be whsec_ and the Base64 of 24 to 64 random bytes"
                )
        return value if value and value.get_secret_value().split() else None

    @field_validator("receipt_key")
    @classmethod
    def _receipt_key_is_a_key(cls, value: SecretStr | None) -> SecretStr | None:
        try:
            fits = value is None or (
                len(base64.b64decode(value.get_secret_value(), validate=True)) == 32
            )
        except binascii.Error:
            fits = False
        if not fits:
            raise ValueError("RECEIPT_KEY must be the Base64 of 32 random bytes")
        return value

    @field_validator("plate_hash_key", "plate_hash_old_keys")
    @classmethod
    def _hash_keys_can_be_told_apart(cls, value: SecretStr | None, info: ValidationInfo) -> Any:
        keys = value.get_secret_value().split() if value else []
        if info.field_name == "plate_hash_key" and value and keys != [value.get_secret_value()]:
            raise ValueError("PLATE_HASH_KEY must hold no spaces")
        if any(len(key) < 32 for key in keys):
            raise ValueError("each of PLATE_HASH_OLD_KEYS has 32 characters or more")
        return value if keys else None

    @field_validator("webhook_allowed_networks")
    @classmethod
    def _networks_are_networks(cls, value: str) -> str:
        networks_in(value)
        return value

    @model_validator(mode="after")
    def _service_wide_webhooks_are_signed(self) -> Settings:
        if self.webhook_url is not None and self.webhook_secret is None:
            raise ValueError("WEBHOOK_URL needs WEBHOOK_SECRET: nothing is sent unsigned")
        return self

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """The secrets of WEBHOOK_SECRET."""
        return tuple(self.webhook_secret.get_secret_value().split()) if self.webhook_secret else ()

    @property
    def webhook_url_for_all(self) -> str | None:
        """WEBHOOK_URL, in plain text."""
        return self.webhook_url.get_secret_value() if self.webhook_url else None

    @property
    def webhook_networks(self) -> tuple[Network, ...]:
        """WEBHOOK_ALLOWED_NETWORKS as networks."""
        return networks_in(self.webhook_allowed_networks)

    @property
    def plates_are_hashed(self) -> bool:
        """Whether texts of plates are kept as keyed hashes."""
        return self.plate_hash_key is not None

    @property
    def plate_hash_keys(self) -> tuple[SecretStr, ...]:
        """PLATE_HASH_KEY, if there is one, and PLATE_HASH_OLD_KEYS."""
        given = self.plate_hash_old_keys
        old = given.get_secret_value().split() if given else ()
        current = (self.plate_hash_key,) if self.plate_hash_key else ()
        return (*current, *(SecretStr(key) for key in old))

    @property
    def keeps_pictures(self) -> bool:
        """Whether pictures of plates are kept."""
        return self.plate_hash_key is None or self.hashed_keep_pictures

    @property
    def storage_mode(self) -> Literal["s3", "embedded", "directory"]:
        """Which storage is meant by what is set and what is not."""
        if self.enable_s3 is False:
            return "directory"
        if self.enable_s3 or self.s3_bucket_name:
            return "s3"
        return "embedded"

    @property
    def on_loopback(self) -> bool:
        """Whether HOST lets only this machine in."""
        return is_loopback(self.host)

    @property
    def cors_origin_list(self) -> list[str]:
        """CORS_ORIGINS as a list."""
        return [origin.strip() for origin in self.cors_origins.split(",") if origin.strip()]
