"""What goes wrong between a client and a server."""

from __future__ import annotations

import httpx

_WORTH_TRYING_AGAIN = (408, 423, 425, 429)
"""423: an upload by tus is held by another request, or the server cannot look at it now."""
_FOR_GOOD = ("s3_unavailable",)


class ClientError(Exception):
    """The server, or storage, did not do what it was asked; the text says what to do.

    ``code`` is for programs: the server's own where it gave one, else one of this client's (see
    docs/CLI.md). ``status`` is the HTTP status, None if nobody answered; ``request_id`` finds the
    request in the server's log.
    """

    def __init__(
        self,
        detail: str,
        *,
        code: str = "server",
        status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
        self.status = status
        self.request_id = request_id

    @property
    def refused(self) -> bool:
        """Whether the answer was no: asking the same again would not help."""
        return self.status is not None and self.status < 500 and not self.temporary

    @property
    def temporary(self) -> bool:
        """Whether asking again, later, may help."""
        if self.status is None:
            return self.code == "no_answer"
        if self.code in _FOR_GOOD:
            return False
        return self.status >= 500 or self.status in _WORTH_TRYING_AGAIN


def refusal(answer: httpx.Response) -> ClientError:
    """The error that a server's answer of 400 or more means; the body must have been read."""
    code = "server"
    try:
        body = answer.json()
        detail = str(body["detail"])
        code = str(body.get("code", code))
    except (ValueError, KeyError, TypeError, AttributeError):
        detail = answer.text[:300].strip() or f"status {answer.status_code}"
    return ClientError(
        detail,
        code=code,
        status=answer.status_code,
        request_id=answer.headers.get("x-request-id"),
    )


def silence(error: httpx.HTTPError) -> ClientError:
    """The error that a broken or refused connection to the server means."""
    return ClientError(
        f"The server at {_origin(error)} does not answer ({type(error).__name__}): "
        "is it running ('detect-api serve'), and is the address right?",
        code="no_answer",
    )


def _origin(error: httpx.HTTPError) -> str:
    try:
        url = error.request.url
    except RuntimeError:
        return "this address"
    return f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"
