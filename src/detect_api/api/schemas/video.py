"""Bodies of the routes under ``/process/video``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator

from detect_api.api.schemas.base import PlainText, Request, Response

Region = Annotated[
    str | None,
    Field(
        pattern=r"^[a-z]{2}(-[a-z0-9]{1,8})?$",
        description="Country or region whose plates are expected, such as de, eu or us-ca: its "
        "formats decide where a reading wavers.",
    ),
]
Frame = Annotated[int, Field(ge=0, le=2**31 - 1)]
JOB = "7a2f5c90-e29b-41d4-a716-446655440001"
UPLOAD = "550e8400-e29b-41d4-a716-446655440000"


class ProcessingParameters(Request):
    """How a video is to be read. Frames are counted over the whole video, from 0."""

    frame_skip: int = Field(
        1, ge=1, le=10_000, description="Look at the frames whose number is a multiple of this."
    )
    start_frame: Frame | None = Field(None, description="The first frame looked at.")
    end_frame: Frame | None = Field(None, description="The first frame not looked at any more.")
    min_confidence: float | None = Field(
        None, ge=0, le=1, description="Plates whose text is less sure are listed as unread."
    )
    region: Region = None
    webhook_url: PlainText | None = Field(
        None,
        min_length=1,
        max_length=2048,
        description="Where to POST what became of the job; see docs/WEBHOOKS.md.",
    )

    @model_validator(mode="after")
    def _range_is_not_empty(self) -> ProcessingParameters:
        if self.end_frame is not None and self.end_frame <= (self.start_frame or 0):
            raise ValueError("end_frame must be greater than start_frame")
        return self


class StoredVideoParameters(ProcessingParameters):
    """How a video that lies in storage is to be read, and whether it stays there."""

    delete_after_processing: bool = Field(
        False, description="Remove the video from S3 once the job has completed."
    )


class AutoProcess(StoredVideoParameters):
    """An upload whose processing may start by itself, and the parameters for that."""

    auto_process: bool = Field(
        False, description="Start processing when the file is there, without another request."
    )

    @model_validator(mode="after")
    def _parameters_have_an_effect(self) -> AutoProcess:
        given = StoredVideoParameters.model_fields
        if not self.auto_process and any(
            getattr(self, name) != field.default for name, field in given.items()
        ):
            raise ValueError(
                "Parameters of processing need auto_process: set it to true, or give them to "
                "POST /process/video/s3."
            )
        return self

    def processing(self) -> dict[str, Any] | None:
        """The parameters with which to process the file when it is there; None: not by itself."""
        if not self.auto_process:
            return None
        return self.model_dump(include=set(StoredVideoParameters.model_fields))


class PresignRequest(AutoProcess):
    """What is going to be uploaded straight to S3."""

    filename: PlainText = Field(min_length=1, max_length=255)
    file_size: int | None = Field(
        None, ge=1, description="Bytes; the form then takes exactly so many."
    )
    content_type: PlainText = Field("video/mp4", min_length=1, max_length=100)

    def upload(self) -> dict[str, Any]:
        """The request as ``S3Service.presign`` takes it."""
        named = {"filename", "file_size", "content_type"}
        return {**self.model_dump(include=named), "processing": self.processing()}

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "filename": "traffic_video.mp4",
                "file_size": 187000000,
                "content_type": "video/mp4",
                "auto_process": True,
                "frame_skip": 2,
            }
        }
    )


class PresignResponse(Response):
    """A form for one upload: POST ``upload_fields`` and then ``file``, last, to ``upload_url``."""

    job_id: str
    upload_url: str
    upload_fields: dict[str, str]
    s3_key: str
    bucket: str
    expires_in: int
    max_file_size: int
    status_url: str

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "job_id": UPLOAD,
                "upload_url": "https://your-video-bucket.s3.amazonaws.com/",
                "upload_fields": {
                    "key": "videos/20250113_143022_550e8400.mp4",
                    "Content-Type": "video/mp4",
                    "x-amz-meta-original-filename": "traffic_video.mp4",
                    "x-amz-meta-job-id": UPLOAD,
                    "policy": "eyJleH...",
                    "x-amz-algorithm": "AWS4-HMAC-SHA256",
                    "x-amz-credential": "AKIA.../20250113/us-east-1/s3/aws4_request",
                    "x-amz-date": "20250113T143022Z",
                    "x-amz-signature": "abc123...",
                },
                "s3_key": "videos/20250113_143022_550e8400.mp4",
                "bucket": "your-video-bucket",
                "expires_in": 3600,
                "max_file_size": 524288000,
                "status_url": f"/jobs/{UPLOAD}",
            }
        }
    )


class ProcessRequest(StoredVideoParameters):
    """An uploaded video, and how it is to be read."""

    s3_key: PlainText = Field(min_length=1, max_length=1024)

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "s3_key": "videos/20250113_143022_550e8400.mp4",
                "frame_skip": 2,
                "min_confidence": 0.3,
                "delete_after_processing": True,
            }
        }
    )


class JobCreated(Response):
    """A job that was created; follow it under ``status_url``."""

    job_id: str
    status: str
    message: str
    status_url: str

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "job_id": JOB,
                "status": "pending",
                "message": "Video processing job created from S3 (187.00MB). "
                "Use the job_id to check status.",
                "status_url": f"/jobs/{JOB}",
            }
        }
    )


def form(parameters: dict[str, dict[str, Any]], example: dict[str, Any]) -> dict[str, Any]:
    """OpenAPI description of a form with a file, which is parsed while it arrives."""
    schema = {
        "type": "object",
        "required": ["file"],
        "properties": {"file": {"type": "string", "format": "binary"}, **parameters},
    }
    content = {"multipart/form-data": {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


CONFIDENCE = {"type": "number", "minimum": 0, "maximum": 1}

UPLOAD_FORM = form(
    {
        "frame_skip": {"type": "integer", "minimum": 1, "default": 1},
        "start_frame": {"type": "integer", "minimum": 0},
        "end_frame": {"type": "integer", "minimum": 1},
        "min_confidence": CONFIDENCE,
        "region": {"type": "string"},
        "webhook_url": {"type": "string", "maxLength": 2048},
    },
    {"file": "(the video)", "frame_skip": 2},
)

IMAGE_FORM = form(
    {"min_confidence": CONFIDENCE, "region": {"type": "string"}}, {"file": "(the picture)"}
)


class EventTaken(Response):
    """An event was read; ``arrived`` uploads that were waited for are there."""

    arrived: int

    model_config = ConfigDict(json_schema_extra={"example": {"arrived": 1}})


EVENT_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "example": {
                    "Records": [
                        {
                            "eventSource": "aws:s3",
                            "eventName": "ObjectCreated:Post",
                            "s3": {
                                "bucket": {"name": "your-video-bucket"},
                                "object": {
                                    "key": "videos/20250113_143022_550e8400.mp4",
                                    "size": 187000000,
                                },
                            },
                        }
                    ]
                },
            }
        },
    }
}
"""OpenAPI description of an event, whose shape is the sender's."""
