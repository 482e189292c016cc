"""What is wanted of an upload, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypedDict, get_args

from detect_api.client.flow import Json, Patience
from detect_api.client.source import Checksum

Method = Literal["s3", "s3-multipart", "tus", "api"]
"""The ways in, named as ``GET /config`` names them."""


@dataclass(frozen=True)
class Options:
    """How one video is uploaded.

    ``state`` is the folder for what is needed to go on in another process. ``webhook_url`` is told
    when the job has ended. With ``auto_process`` off the video is only uploaded. With ``resume``
    off nothing that was begun before is gone on with. ``method`` and ``checksum`` (of each part)
    override what would be chosen. So many parts as ``parallel`` says are sent at a time, and each,
    and each question to the server, is tried again as often as ``patience`` says.
    """

    state: Path
    parameters: Json = field(default_factory=dict)
    auto_process: bool = True
    resume: bool = True
    method: Method | None = None
    checksum: Checksum | None = "CRC32C"
    parallel: int = 4
    patience: Patience = field(default_factory=lambda: Patience(tries=12))
    webhook_url: str | None = None

    @property
    def processing(self) -> Json:
        """What the server is told of how the video is read, and of who hears of it."""
        told = {} if self.webhook_url is None else {"webhook_url": self.webhook_url}
        return {**self.parameters, **told}

    def __post_init__(self) -> None:
        if self.method is not None and self.method not in get_args(Method):
            raise ValueError(f"method is one of {', '.join(get_args(Method))}")
        if self.parallel < 1:
            raise ValueError("parallel must be 1 or more")


class UploadOptions(TypedDict, total=False):
    """The fields of ``Options`` that ``Client.upload`` takes by name."""

    auto_process: bool
    resume: bool
    method: Method | None
    checksum: Checksum | None
    parallel: int
    patience: Patience
    webhook_url: str | None


@dataclass(frozen=True)
class Upload:
    """A video that has arrived. ``job_id`` is the job to follow: the one that reads the video if
    it is being read (``processing``), else the one that stands for the upload."""

    method: Method
    job_id: str
    s3_key: str | None
    processing: bool
    message: str

    def created(self) -> Json:
        """What a route that creates a job answers."""
        return {
            "job_id": self.job_id,
            "status": "pending" if self.processing else "uploaded",
            "message": self.message,
            "status_url": f"/jobs/{self.job_id}",
        }
