"""What all bodies have in common."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict


def _plain(value: str) -> str:
    if any(ord(char) < 32 or ord(char) == 127 for char in value):
        raise ValueError("must not hold control characters")
    return value


PlainText = Annotated[str, AfterValidator(_plain)]
"""Text on one line. PostgreSQL and HTTP headers can hold no NUL, among others."""


class Request(BaseModel):
    """A request's body: fields that are not known are refused."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Response(BaseModel):
    """A response's body."""

    model_config = ConfigDict(extra="forbid")


class FieldError(Response):
    """One field that does not fit."""

    loc: list[str | int]
    msg: str
    type: str


class Problem(Response):
    """An error (RFC 9457). ``detail`` says in one sentence what is wrong and what to do."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldError] | None = None

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Not Found",
                "status": 404,
                "detail": "There is no job 550e8400-e29b-41d4-a716-446655440000.",
                "code": "job_not_found",
                "request_id": "0d9c1a52c1f64bd2",
            }
        }
    )


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error responses of a route, for its OpenAPI description."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": "Problem", "content": content} for status in statuses}
