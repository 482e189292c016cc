"""Where training finds its data and leaves its work."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("DETECT_API_DATA", ROOT.parent / "shared" / "data"))
"""The folder with ``plates_train``, ``plates_crops`` and ``plates_val``."""

WORK = Path(os.environ.get("DETECT_API_TRAINING", ROOT / "training" / "work"))
"""Checkpoints, caches and logs; nothing of it belongs into the repository."""

MODELS = ROOT / "src" / "detect_api" / "vision" / "models"
