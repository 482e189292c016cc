"""Every way in which the service says no.

An error is raised where it is known, carries a stable ``code``, the HTTP status it stands for
and one plain sentence (``detail``) that says what to do. ``api/problems.py`` is the only place
that turns one into a response.
"""

from __future__ import annotations


class DetectApiError(Exception):
    """Base of all errors that a client or operator is meant to read.

    ``detail`` is one English sentence, free of secrets. ``code`` never changes once released.
    """

    status = 500
    code = "internal_error"

    def __init__(self, detail: str, *, code: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        if code is not None:
            self.code = code


class InvalidRequest(DetectApiError):
    """The request itself is wrong; sending it again unchanged will not help."""

    status = 400
    code = "invalid_request"


class Unauthorized(DetectApiError):
    """The request has no key, or one that is not valid (any more)."""

    status = 401
    code = "key_needed"


class Forbidden(DetectApiError):
    """The thing asked for lies outside what a client may reach."""

    status = 403
    code = "forbidden"


class NotFound(DetectApiError):
    """There is no such thing (any more)."""

    status = 404
    code = "not_found"


class UploadTimeout(DetectApiError):
    """The client took longer than ``UPLOAD_TIMEOUT_SECONDS`` to send the file."""

    status = 408
    code = "upload_timeout"


class Conflict(DetectApiError):
    """The thing exists but is not in a state that allows this."""

    status = 409
    code = "conflict"


class Gone(DetectApiError):
    """The thing was there and has ended; it does not come back."""

    status = 410
    code = "gone"


class WrongVersion(DetectApiError):
    """The client speaks no version of the protocol that the service speaks."""

    status = 412
    code = "wrong_version"


class TooLarge(DetectApiError):
    """The file passes the configured limit."""

    status = 413
    code = "too_large"


class WrongMediaType(DetectApiError):
    """The body is not of the type that the route takes."""

    status = 415
    code = "wrong_media_type"


class Unprocessable(DetectApiError):
    """The request is well-formed but contradicts itself or an earlier one."""

    status = 422
    code = "unprocessable"


class Locked(DetectApiError):
    """Another request holds the thing and did not let go in time; trying again may help."""

    status = 423
    code = "locked"


class TooMany(DetectApiError):
    """A limit is reached, of a key or of an address; trying again later helps."""

    status = 429
    code = "rate_limited"

    def __init__(self, detail: str, *, retry_after: int, code: str | None = None) -> None:
        super().__init__(detail, code=code)
        self.retry_after = retry_after


class ChecksumMismatch(DetectApiError):
    """The bytes that arrived are not those that the client's checksum is of (tus' own status)."""

    status = 460
    code = "checksum_mismatch"


class Unavailable(DetectApiError):
    """A part that this request needs is switched off, unset or down."""

    status = 503
    code = "unavailable"


class VideoError(DetectApiError):
    """The video cannot be read, and reading it again will not help.

    ``code`` is one of: ``empty_file``, ``not_a_video``, ``no_video_stream``,
    ``unsupported_container``, ``unsupported_codec``, ``too_many_pixels``, ``too_long``,
    ``no_frames``, ``frame_range``, ``decoder_crashed``, ``decoder_hung``, ``decoder_memory``,
    ``corrupt_video``, ``upload_damaged``.
    """

    status = 422
    code = "video_error"


class StorageError(DetectApiError):
    """Object storage did not do what it was asked; trying again later may help."""

    status = 503
    code = "storage_unavailable"


class ObjectMissing(DetectApiError):
    """The object is not in storage."""

    status = 404
    code = "object_not_found"


class ObjectChanged(DetectApiError):
    """The object was overwritten while it was being read."""

    status = 409
    code = "object_changed"
