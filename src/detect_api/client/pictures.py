"""All pictures of a job's result, as files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from detect_api.client.flow import Flow, Json, Patience, Shares, Together, patiently
from detect_api.client.routes import fetch, result

_AT_ONCE = 4

Picture = tuple[str, Path]
"""Where it is, and where it goes."""


def download_pictures(job_id: str, folder: Path) -> Flow[list[Path]]:
    """Writes crop and frame of each plate and the crop of each unread one; returns the files.

    Names are those of ``detect-api process --pictures``: ``001-AB12CDE-crop.jpg``.
    """
    found = yield from result(job_id)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = list(_pictures(found, folder))
    shares = Shares(iter(wanted))
    yield Together([_take(shares) for _ in range(min(_AT_ONCE, len(wanted)))])
    return [path for _, path in wanted]


def _pictures(found: Json, folder: Path) -> Iterator[Picture]:
    for number, plate in enumerate(found["plates"], 1):
        # A text may have been corrected by a person: letters and digits alone make a file name.
        name = f"{number:03}-{re.sub(r'[^A-Za-z0-9]', '_', plate['text'])}"
        yield plate["crop_url"], folder / f"{name}-crop.jpg"
        yield plate["frame_url"], folder / f"{name}-frame.jpg"
    for number, track in enumerate(found["unread"], 1):
        yield track["crop_url"], folder / f"unread-{number:03}-crop.jpg"


def _take(shares: Shares[Picture]) -> Flow[None]:
    while (picture := shares.take()) is not None:
        url, path = picture
        yield from _fetch(url, path)


def _fetch(url: str, path: Path) -> Flow[None]:
    yield from patiently(lambda: fetch(url, path), Patience(tries=4))
