"""What makes two versions share their jobs, and what does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from detect_api.vision import edition as editions
from detect_api.vision import general, wire


@pytest.fixture(autouse=True)
def computed_anew() -> Iterator[None]:
    editions.edition.cache_clear()
    yield
    editions.edition.cache_clear()


def changed(monkeypatch: pytest.MonkeyPatch, where: object, name: str, value: object) -> bool:
    before = editions.edition()
    monkeypatch.setattr(where, name, value)
    editions.edition.cache_clear()
    return editions.edition() != before


def test_another_wire_format_is_another_edition(monkeypatch: pytest.MonkeyPatch) -> None:
    assert changed(monkeypatch, wire, "VERSION", wire.VERSION + 1)


def test_other_steps_are_another_edition(monkeypatch: pytest.MonkeyPatch) -> None:
    assert changed(monkeypatch, editions, "STEPS", editions.STEPS + 1)


def test_other_weights_are_another_edition(monkeypatch: pytest.MonkeyPatch) -> None:
    assert changed(monkeypatch, editions, "pinned", lambda: {"detector.onnx": "0" * 64})
    assert changed(monkeypatch, general, "MODEL_SHA256", "0" * 64)


def test_the_versions_number_alone_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not changed(monkeypatch, __import__("detect_api"), "__version__", "99.0")


def test_an_edition_fits_into_the_name_of_a_channel() -> None:
    # PostgreSQL cuts names at 63 bytes: workers would no longer hear of new tasks at once.
    assert len(f"procrastinate_queue_v1#segments:{editions.edition()}") <= 63
