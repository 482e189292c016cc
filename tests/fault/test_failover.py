"""The database's machine dies in the midst of work, and its standby takes over: nothing that was
acknowledged is lost, and nothing is done twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import Engine, text

from detect_api.client import Client
from detect_api.db.session import make_engine
from detect_api.local.stack import Stack
from tests.conftest import make_settings, short_folder
from tests.fault.replicas import Pair, running_pair
from tests.fault.test_kills import is_over, wait_for, whole_result
from tests.processing import EVERY_OTHER, Sample, essence

AWAY_SECONDS = 2.0


@pytest.fixture
def pair() -> Iterator[Pair]:
    with short_folder() as folder, running_pair(folder) as servers:
        yield servers


@pytest.mark.timeout(400)
def test_a_standby_that_takes_over_has_all_that_was_acknowledged(
    pair: Pair, sample: Sample, reference: dict[str, Any]
) -> None:
    with ExitStack() as cleanup:
        settings = make_settings(
            data_dir=cleanup.enter_context(short_folder()), database_url=pair.url, port=0,
            segment_seconds=2.0,
        )  # fmt: skip
        stack = Stack(settings)
        stack.start()
        cleanup.callback(stack.stop, fast=True)
        client = cleanup.enter_context(Client(stack.api_url))
        first = client.process(sample.path, EVERY_OTHER)["job_id"]
        wait_for(stack, client, first, lambda job: job.get("frames", {}).get("done", 0) >= 10)
        second = client.process(sample.path, EVERY_OTHER)["job_id"]

        pair.primary.kill()
        answer = httpx.get(f"{stack.api_url}/jobs", timeout=60)
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        pair.standby.promote()

        keys = []
        for job_id in (first, second):
            job = wait_for(stack, client, job_id, is_over)
            assert job["status"] == "completed", job
            assert essence(whole_result(client, job_id)) == essence(reference)
            keys.append(job["s3_key"])
        with psycopg.connect(pair.standby.url) as connection:
            for key in keys:
                rows = connection.execute(
                    "SELECT status FROM jobs WHERE object_key = %s AND type = 'video'", (key,)
                )
                assert rows.fetchall() == [("completed",)]


def test_a_url_of_several_hosts_leads_to_the_one_that_can_be_written_to(pair: Pair) -> None:
    engine = make_engine(pair.url)
    try:
        ports = [port_of(engine)]
        pair.fail_over(AWAY_SECONDS)
        ports.append(port_of(engine))
        assert ports == [pair.primary.port, pair.standby.port]
    finally:
        engine.dispose()


def port_of(engine: Engine) -> int:
    """Where a connection from the pool leads; it can be written to."""
    with engine.connect() as connection:
        assert not connection.scalar(text("SELECT pg_is_in_recovery()"))
        return int(connection.scalar(text("SELECT inet_server_port()")) or 0)
