"""Lines from a client to an API and its storage, which can be made to do harm."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from detect_api.core.config import Settings
from tests.integration.conftest import Api, serve
from tests.proxy import CuttingProxy

MIB = 2**20
SIZE = 20 * MIB
"""More than the API's MAX_FILE_SIZE here, so that no form takes it: some parts, the last short."""


@dataclass(frozen=True)
class Line:
    """An API and its storage, each behind a proxy."""

    api: Api
    to_api: CuttingProxy
    to_store: CuttingProxy

    @property
    def settings(self) -> Settings:
        """Those of the API."""
        return self.api.parts.settings

    def stored(self, key: str) -> str:
        """The digest of an object."""
        found = self.api.parts.store.head(key)
        digest = hashlib.sha256()
        for offset in range(0, found.size, 4 * MIB):
            size = min(4 * MIB, found.size - offset)
            digest.update(self.api.parts.store.read_range(key, offset, size, found.etag))
        return digest.hexdigest()


@contextmanager
def line_to(settings: Settings) -> Iterator[Line]:
    """A line to an API of its own."""
    assert settings.s3_endpoint_url is not None
    with CuttingProxy(settings.s3_endpoint_url).running() as to_store:
        public = settings.model_copy(update={"s3_public_endpoint_url": to_store.url})
        with contextmanager(serve)(public) as api, CuttingProxy(api.url).running() as to_api:
            yield Line(api, to_api, to_store)


def digest(path: Path) -> str:
    """Of a file, as ``Line.stored`` gives it of an object."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
