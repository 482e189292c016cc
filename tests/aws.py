"""AWS as botocore's Stubber plays it: nothing that is sent reaches anybody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.stub import Stubber

from detect_api.aws.converge import Change

REGION = "eu-central-1"


class Stub(Stubber):
    """A Stubber that does not hide what kind of client it has."""

    client: Any


def client_for(service: str) -> Any:
    """A client of the service, with keys that are none."""
    return boto3.client(  # type: ignore[call-overload]
        service, region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x"
    )


@contextmanager
def played(service: str) -> Iterator[Stub]:
    """The service, all of whose answers have to be asked for."""
    with Stub(client_for(service)) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def by_name(changes: Iterator[Change]) -> dict[str, Change]:
    """What was changed, by the name of the aspect."""
    return {change.name: change for change in changes}


def never(_seconds: float) -> None:
    """A pause where none is due."""
    raise AssertionError("it waited")
