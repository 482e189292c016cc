"""The page where the service needs a key."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Page, expect

from detect_api.db.migrate import upgrade
from detect_api.services import key_service
from tests.conftest import make_settings
from tests.integration.conftest import Api, serve

Check = Callable[[str], None]


@pytest.fixture
def locked(embedded_database: str, tmp_path: Path) -> Iterator[tuple[Api, str]]:
    """The API on a database of its own, and its only key."""
    name = f"locked_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(embedded_database, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    url = embedded_database.rsplit("/", 1)[0] + f"/{name}"
    upgrade(url)
    running = serve(make_settings(enable_s3=False, database_url=url, data_dir=tmp_path))
    api = next(running)
    with api.parts.sessions.begin() as session:
        _, secret = key_service.create(
            session, name="page", tenant="default", scopes=["admin"], expires_in_seconds=None
        )
    yield api, secret
    next(running, None)


def test_the_page_asks_for_the_key_once_and_then_works(
    page: Page, locked: tuple[Api, str], audit: Check, shoot: Check
) -> None:
    api, secret = locked
    job_id = api.finished_job(["AB12CDE"], unread=1)
    page.goto(api.url)
    expect(page.get_by_role("heading", level=1)).to_have_text("This service needs a key")
    expect(page.get_by_label("Key")).to_be_focused()
    audit("key")
    shoot("key")
    page.get_by_label("Key").fill("da_k_wrong")
    page.get_by_role("button", name="Use this key").click()
    expect(page.get_by_role("alert")).to_contain_text("not valid")
    audit("key refused")
    page.get_by_label("Key").fill(secret)
    page.keyboard.press("Enter")
    row = page.locator("li.row").filter(has_text="a.mp4")
    expect(row).to_contain_text("1 plate")
    assert secret not in page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})")
    assert secret[-20:] not in page.evaluate("document.cookie")

    page.goto(f"{api.url}/#/jobs/{job_id}")
    page.reload()
    expect(page.get_by_role("heading", name="This service needs a key")).to_have_count(0)
    page.goto(f"{api.url}/#/search")
    page.reload()
    expect(page.get_by_text("AB12CDE").first).to_be_visible()
    # Pictures carry no header of ours: the session lets them through.
    crop = page.evaluate("async () => (await fetch(document.querySelector('img').src)).status")
    assert crop == 200
    page.get_by_role("button", name="Forget the key").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("This service needs a key")
    page.reload()
    expect(page.get_by_label("Key")).to_be_visible()
