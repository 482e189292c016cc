"""What the bytes of a decoded picture mean, for both sides of the shared memory.

Only the standard library is imported: the decoding child loads this, too.
"""

from __future__ import annotations

LAYOUTS = {"yuv420p": (1, 1), "yuv422p": (1, 0), "yuv444p": (0, 0)}
"""The planar layouts of 8 bits that pass as they are, each with the binary logarithms of how much
fewer columns and rows the two colour planes have."""

PRIMARIES = {
    1: (0.2126, 0.0722),  # BT.709
    2: (0.299, 0.114),  # not said: swscale takes BT.601
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.470BG
    6: (0.299, 0.114),  # SMPTE 170M
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020
}
"""(Kr, Kb) by the number of the matrix coefficients (ITU-T H.273, table 4)."""


def plane_sizes(layout: str, width: int, height: int) -> tuple[tuple[int, int], ...]:
    """(columns, rows) of the three planes of a picture."""
    across, down = LAYOUTS[layout]
    colour = (-(-width >> across), -(-height >> down))
    return (width, height), colour, colour
