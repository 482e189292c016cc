"""Real parts for the tests: PostgreSQL, SeaweedFS and the whole stack, each started when the
first test asks for it and kept for the session. A part that cannot start fails the test."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from detect_api.core.config import Settings
from tests.receiver import SECRET

if TYPE_CHECKING:
    from detect_api.client import Client
    from detect_api.local.stack import Stack
    from tests.processing import Sample


def pytest_configure() -> None:
    """No setting of the person who runs the tests reaches them."""
    for name in Settings.model_fields:
        os.environ.pop(name.upper(), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The page's tests come first: late in a long run chromium was seen to wait for ever for a
    video or an upload, in two runs out of three; at the beginning of one never."""
    items.sort(key=lambda item: "page" not in item.path.parts)


@contextmanager
def short_folder() -> Iterator[Path]:
    """A temporary folder with a short path, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="da-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_settings(**values: Any) -> Settings:
    """Settings from these values and the defaults alone."""
    return Settings(_env_file=None, **values)


@pytest.fixture(scope="session")
def embedded_database() -> Iterator[str]:
    """URL of an empty database of a PostgreSQL that only the tests use."""
    from detect_api.local.stack import Stack

    with short_folder() as folder:
        stack = Stack(make_settings(data_dir=folder, enable_s3=False), api=False)
        stack.start()
        try:
            yield stack.database_url
        finally:
            stack.stop(fast=True)


@pytest.fixture(scope="session")
def database_url(embedded_database: str) -> str:
    """URL of a database with this version's tables, shared by the session's tests.

    Its role may create databases, for a test that needs one of its own.
    """
    from detect_api.db.migrate import upgrade

    upgrade(embedded_database)
    return embedded_database


@pytest.fixture(scope="session")
def s3() -> Iterator[Settings]:
    """Settings that mean a real S3 with an empty bucket (and no database)."""
    from detect_api.local.stack import Stack

    with short_folder() as folder:
        settings = make_settings(data_dir=folder, database_url="postgresql://unused")
        stack = Stack(settings, api=False)
        stack.start()
        try:
            yield stack.settings
        finally:
            stack.stop(fast=True)


@pytest.fixture(scope="session")
def stack() -> Iterator[Any]:
    """The whole service (``detect_api.local.stack.Stack``), with one worker, on free ports."""
    from detect_api.local.stack import Stack

    with short_folder() as folder:
        settings = make_settings(
            data_dir=folder,
            port=0,
            segment_seconds=2.0,
            webhook_secret=SECRET,
            webhook_allow_http=True,
            webhook_allowed_networks="127.0.0.1",
        )
        running = Stack(settings)
        running.start()
        try:
            yield running
        finally:
            running.stop(fast=True)


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    """A client of the whole running service."""
    from detect_api.client import Client

    with Client(stack.api_url) as found:
        yield found


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """The clip that the demo shows."""
    from detect_api.vision.sample import make_sample
    from tests.processing import Sample

    path = tmp_path_factory.mktemp("sample") / "sample.mp4"
    return Sample(path, make_sample(path))


@pytest.fixture(scope="session")
def reference(sample: Sample) -> dict[str, Any]:
    """The sample's result, read in one piece in one process, every other frame."""
    from tests.processing import EVERY_OTHER, read_locally

    return read_locally(sample.path, 100.0, **EVERY_OTHER)
