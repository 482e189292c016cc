"""What object storage answers to an upload, as errors."""

from __future__ import annotations

import re

import httpx

from detect_api.client.errors import ClientError


def refused(answer: httpx.Response) -> ClientError:
    """The error that S3's answer means. Its own code, such as NoSuchUpload, is in the text."""
    found = re.search(r"<Code>([^<]{1,100})</Code>", answer.text[:4000])
    message = re.search(r"<Message>([^<]{1,300})</Message>", answer.text[:4000])
    told = ": ".join(m[1].strip() for m in (found, message) if m) or answer.text[:300].strip()
    return ClientError(
        f"S3 refused the upload ({answer.status_code}): {told or 'it does not say why'}",
        code="s3_refused",
        status=answer.status_code,
    )


def broken(error: httpx.HTTPError) -> ClientError:
    """The error that a broken connection to S3 means."""
    return ClientError(
        f"The upload to S3 broke off ({type(error).__name__}): try again.", code="no_answer"
    )
