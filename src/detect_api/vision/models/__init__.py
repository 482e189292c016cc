"""The shipped weights: the files beside this module, pinned by SHA-256.

To ship other weights of the same shape, replace the files and run
``python -m detect_api.vision.models``, which writes ``manifest.json``.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

FOLDER = Path(str(resources.files(__name__)))
MANIFEST = FOLDER / "manifest.json"


def pinned() -> dict[str, str]:
    """The SHA-256 of each shipped file, by its name."""
    digests: dict[str, str] = json.loads(MANIFEST.read_text(encoding="utf-8"))
    return digests


def shipped(name: str) -> tuple[Path, str]:
    """Where a shipped file lies, and its pinned SHA-256. Raises KeyError for another name."""
    return FOLDER / name, pinned()[name]
