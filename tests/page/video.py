"""A large video that costs nothing to make: a real clip, padded with a box that players skip."""

from __future__ import annotations

import struct
from pathlib import Path


def pad_mp4(clip: Path, to: Path, size: int) -> None:
    """Writes the clip and zeros in a ``free`` box behind it, as a sparse file of ``size`` bytes."""
    body = clip.read_bytes()
    padding = size - len(body)
    assert 16 <= padding < 2**63
    with to.open("wb") as file:
        file.write(body)
        file.write(struct.pack(">I4sQ", 1, b"free", padding))  # 1: the size follows in 64 bits
        file.truncate(size)
