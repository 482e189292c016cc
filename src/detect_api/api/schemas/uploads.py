"""Bodies of the routes under ``/uploads``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator

from detect_api.api.schemas.base import PlainText, Request, Response
from detect_api.api.schemas.jobs import Status
from detect_api.api.schemas.video import JOB, UPLOAD, AutoProcess

Checksum = Literal["CRC32C", "SHA256"]
PartNumber = Annotated[int, Field(ge=1, le=10_000)]
_KEY = "videos/20250113_143022_550e8400.mp4"


class UploadRequest(AutoProcess):
    """What is going to be uploaded straight to S3 in parts, and whether to process it then."""

    filename: PlainText = Field(min_length=1, max_length=255)
    file_size: int = Field(ge=1, description="Bytes; the finished file must have exactly so many.")
    content_type: PlainText = Field("video/mp4", min_length=1, max_length=100)
    checksum: Checksum | None = Field(
        None, description="Guards each part: storage refuses one that is damaged on its way."
    )

    def upload(self) -> dict[str, Any]:
        """The request as ``MultipartService.create`` takes it."""
        named = {"filename", "file_size", "content_type", "checksum"}
        return {**self.model_dump(include=named), "processing": self.processing()}

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "filename": "traffic_video.mp4",
                "file_size": 6000000000,
                "content_type": "video/mp4",
                "checksum": "CRC32C",
                "auto_process": True,
                "frame_skip": 2,
            }
        }
    )


class UploadCreated(Response):
    """An upload in parts: all are ``part_size`` bytes, only the last may be shorter."""

    upload_id: str
    job_id: str
    s3_key: str
    bucket: str
    part_size: int
    parts: int
    checksum: Checksum | None
    expires_at: str
    status_url: str

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "upload_id": UPLOAD,
                "job_id": UPLOAD,
                "s3_key": _KEY,
                "bucket": "your-video-bucket",
                "part_size": 8388608,
                "parts": 716,
                "checksum": "CRC32C",
                "expires_at": "2025-01-20T14:30:22.120Z",
                "status_url": f"/jobs/{UPLOAD}",
            }
        }
    )


class PartsRequest(Request):
    """Parts that are going to be sent."""

    part_numbers: list[PartNumber] = Field(min_length=1, max_length=1000)
    checksums: dict[PartNumber, Annotated[str, Field(max_length=100)]] | None = Field(
        None,
        max_length=1000,
        description="The checksum of each of these parts, in base64; just when the upload has one.",
    )

    @field_validator("part_numbers")
    @classmethod
    def _each_once(cls, value: list[int]) -> list[int]:
        if len(set(value)) != len(value):
            raise ValueError("must not name a part twice")
        return value

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"part_numbers": [1, 2], "checksums": {"1": "yZRlqg==", "2": "jb2rfA=="}}
        }
    )


class Part(Response):
    """PUT exactly ``size`` bytes to ``url`` with exactly these headers; keep the ETag answered."""

    part_number: int
    url: str
    headers: dict[str, str]
    size: int


class SignedParts(Response):
    """Signed parts, which hold for ``expires_in`` seconds."""

    parts: list[Part]
    expires_in: int

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "parts": [
                    {
                        "part_number": 1,
                        "url": f"https://your-video-bucket.s3.amazonaws.com/{_KEY}?uploadId=...",
                        "headers": {"x-amz-checksum-crc32c": "yZRlqg=="},
                        "size": 8388608,
                    }
                ],
                "expires_in": 3600,
            }
        }
    )


class ReceivedPart(Response):
    """A part that storage holds."""

    part_number: int
    etag: str
    size: int


class UploadState(Response):
    """An upload in parts, and what storage holds of it."""

    upload_id: str
    job_id: str
    s3_key: str
    bucket: str
    status: Status
    filename: str
    file_size: int
    content_type: str
    part_size: int
    parts: int
    checksum: Checksum | None
    received: list[ReceivedPart]
    bytes_received: int
    expires_at: str
    status_url: str
    processing_job_id: str | None

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "upload_id": UPLOAD,
                "job_id": UPLOAD,
                "s3_key": _KEY,
                "bucket": "your-video-bucket",
                "status": "awaiting_upload",
                "filename": "traffic_video.mp4",
                "file_size": 6000000000,
                "content_type": "video/mp4",
                "part_size": 8388608,
                "parts": 716,
                "checksum": "CRC32C",
                "received": [{"part_number": 1, "etag": '"9b2c..."', "size": 8388608}],
                "bytes_received": 8388608,
                "expires_at": "2025-01-20T14:30:22.120Z",
                "status_url": f"/jobs/{UPLOAD}",
                "processing_job_id": None,
            }
        }
    )


class SentPart(Request):
    """A part as storage acknowledged it."""

    part_number: PartNumber
    etag: PlainText = Field(min_length=1, max_length=200)


class CompleteRequest(Request):
    """The parts of the file; without them, those that storage holds."""

    parts: list[SentPart] | None = Field(None, min_length=1, max_length=10_000)

    @field_validator("parts")
    @classmethod
    def _each_once(cls, value: list[SentPart] | None) -> list[SentPart] | None:
        if value is not None and len({part.part_number for part in value}) != len(value):
            raise ValueError("must not name a part twice")
        return value

    def named(self) -> dict[int, str] | None:
        """ETags by part number."""
        if self.parts is None:
            return None
        return {part.part_number: part.etag for part in self.parts}

    model_config = ConfigDict(
        json_schema_extra={"example": {"parts": [{"part_number": 1, "etag": '"9b2c..."'}]}}
    )


class UploadCompleted(Response):
    """The video is there. ``processing_job_id`` is the job that ``auto_process`` started."""

    upload_id: str
    job_id: str
    s3_key: str
    status: Status
    file_size: int
    etag: str | None
    processing_job_id: str | None
    status_url: str

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "upload_id": UPLOAD,
                "job_id": UPLOAD,
                "s3_key": _KEY,
                "status": "uploaded",
                "file_size": 6000000000,
                "etag": '"6f94...-716"',
                "processing_job_id": JOB,
                "status_url": f"/jobs/{UPLOAD}",
            }
        }
    )


class UploadCancelled(Response):
    """The upload was given up and its parts dropped."""

    upload_id: str
    job_id: str
    status: Literal["cancelled"]

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"upload_id": UPLOAD, "job_id": UPLOAD, "status": "cancelled"}
        }
    )
