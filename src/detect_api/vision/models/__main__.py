"""Pins the files that lie here: writes the manifest."""

from __future__ import annotations

import hashlib
import json

from detect_api.vision.models import FOLDER, MANIFEST

digests = {
    path.name: hashlib.sha256(path.read_bytes()).hexdigest()
    for path in sorted(FOLDER.glob("*.onnx"))
}
MANIFEST.write_text(json.dumps(digests, indent=2) + "\n", encoding="utf-8")
