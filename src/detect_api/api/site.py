"""The built page as the wheel carries it, read once and kept: it is small and never changes."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

import detect_api

FOLDER = Path(detect_api.__file__).parent / "web" / "static"
INDEX = "index.html"

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
"""Not left to the machine's own table: a script of a wrong type is not run."""


@dataclass(frozen=True)
class SiteFile:
    """One file: as it is, compressed, and how it is named and kept.

    ``lasting`` is true for a file whose name carries a hash of what is in it.
    """

    body: bytes
    packed: bytes
    media_type: str
    etag: str
    lasting: bool


def load_site(folder: Path = FOLDER) -> dict[str, SiteFile]:
    """The files of the built page by their path within ``folder``; empty if it was not built."""
    return {
        path.relative_to(folder).as_posix(): _file(path, folder)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _file(path: Path, folder: Path) -> SiteFile:
    body = path.read_bytes()
    guessed = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return SiteFile(
        body=body,
        packed=gzip.compress(body, compresslevel=9, mtime=0),
        media_type=_TYPES.get(path.suffix, guessed),
        # Weak: the same for the file as it is and compressed.
        etag=f'W/"{hashlib.sha256(body).hexdigest()[:32]}"',
        lasting=path.parent != folder,
    )
