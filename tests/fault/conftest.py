"""The API of the integration tests, for faults that need no more."""

from tests.integration.conftest import api

__all__ = ["api"]
