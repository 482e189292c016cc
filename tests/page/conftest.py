"""A browser, its pages, and what they are checked for."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from detect_api.db.migrate import upgrade
from tests.conftest import make_settings
from tests.integration.conftest import Api, serve
from tests.page import tools

if TYPE_CHECKING:
    from detect_api.local.stack import Stack

ARTEFACTS = Path(__file__).parent / "artefacts"
AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
WIDTHS = (390, 768, 1440)
PATIENCE = 60_000
"""Milliseconds that a test waits for something on the page: CI is slow."""


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Debian's chromium. Skips, saying why, where there is none.

    It ends with this package: while it runs, Playwright has an event loop in the tests' thread, and
    no test after these could run one of its own.
    """
    missing = tools.why_not()
    if missing:
        pytest.skip(missing)
    with sync_playwright() as playwright:
        expect.set_options(timeout=PATIENCE)
        running = playwright.chromium.launch(executable_path=tools.browser(), args=tools.FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def fresh(embedded_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API on a database of its own, without S3 and without workers."""
    name = f"page_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(embedded_database, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    url = embedded_database.rsplit("/", 1)[0] + f"/{name}"
    upgrade(url)
    folder: Path = tmp_path_factory.mktemp("page")
    yield from serve(make_settings(enable_s3=False, database_url=url, data_dir=folder))


@pytest.fixture
def context(browser: Browser, stack: Stack) -> Iterator[BrowserContext]:
    """A browser without memory, at the service's address."""
    found = browser.new_context(
        base_url=stack.api_url,
        viewport={"width": 1440, "height": 900},
        reduced_motion="reduce",
    )
    found.set_default_timeout(PATIENCE)
    yield found
    found.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """An empty tab. Errors of the page's scripts and breaches of its policy fail the test."""
    wrong: list[str] = []
    tab = context.new_page()
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on(
        "console",
        lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None,
    )
    # Leaving while something is being sent asks first; tests leave on purpose.
    tab.on("dialog", lambda dialog: dialog.accept())
    yield tab
    assert not wrong, wrong


@pytest.fixture
def shoot(page: Page) -> Callable[[str], None]:
    """Keeps pictures of the page in three widths."""

    def shots(name: str) -> None:
        ARTEFACTS.mkdir(exist_ok=True)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            page.screenshot(path=ARTEFACTS / f"{name}-{width}.png", full_page=True)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        page.set_viewport_size({"width": 1440, "height": 900})

    return shots


@pytest.fixture
def audit(page: Page) -> Callable[[str], None]:
    """Fails on serious faults of accessibility, in light and in dark; needs axe-core from npm."""

    def check(name: str) -> None:
        if not AXE.exists():
            print(f"{name}: accessibility is NOT checked, since axe-core is not in {AXE.parent}")
            return
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.evaluate(_SETTLED)
            # The policy forbids scripts of others; the driver's own way in is not bound by it.
            page.evaluate(AXE.read_text(encoding="utf-8"))
            found: dict[str, Any] = page.evaluate(
                "axe.run(document, {resultTypes: ['violations']})"
            )
            grave = [
                {"rule": fault["id"], "at": [_told(node) for node in fault["nodes"]]}
                for fault in found["violations"]
                if fault["impact"] in ("serious", "critical")
            ]
            assert not grave, f"{name}, {scheme}: {json.dumps(grave, indent=1)}"
        page.emulate_media(color_scheme="light")

    return check


_SETTLED = """Promise.all(document.getAnimations().map((one) => one.finished.catch(() => {})))
    .then(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))))"""
"""Colours fade from one theme to the other: their contrast counts when they have arrived."""


def _told(node: dict[str, Any]) -> str:
    reasons = [reason["message"] for reason in (*node["any"], *node["all"], *node["none"])]
    return f"{node['target']}: {'; '.join(reasons)}"
