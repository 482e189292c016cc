"""The video's bytes as the decoding child sees them: a file whose reads the service answers."""

from __future__ import annotations

import io
import os
import socket
import time
from bisect import bisect_right
from typing import Any

from detect_api.vision.channel import LENGTH, LONGEST_READ, READ, Gone, pack, receive

HEARTBEAT_SECONDS = 1.0
LOST_SERVICE = 3
"""Exit status of a child whose service is gone."""


class Service:
    """The child's two sockets. Losing either ends the process: nobody is left to work for."""

    def __init__(self, control: socket.socket, data: socket.socket) -> None:
        self._control, self._data = control, data
        self._heard = time.monotonic()

    def tell(self, message: dict[str, Any]) -> None:
        self._heard = time.monotonic()
        try:
            self._control.sendall(pack(message))
        except OSError:
            os._exit(LOST_SERVICE)

    def alive(self) -> None:
        """Says that work goes on, if nothing was said for a while."""
        if time.monotonic() - self._heard > HEARTBEAT_SECONDS:
            self.tell({"alive": True})

    def freed_slots(self) -> int:
        """Waits until the service hands back at least one picture slot; how many it did."""
        try:
            freed = len(self._control.recv(64))
        except OSError:
            freed = 0
        return freed or os._exit(LOST_SERVICE)

    def read(self, offset: int, length: int, *, apart: bool = False) -> bytes:
        """Bytes of the video; none at its end. ``apart``: a small piece far from the others."""
        try:
            self._data.sendall(READ.pack(offset, min(length, LONGEST_READ), apart))
            (count,) = LENGTH.unpack(receive(self._data, LENGTH.size))
            data = receive(self._data, count)
        except (OSError, Gone):
            os._exit(LOST_SERVICE)
        return data[:length]


class RemoteFile:
    """The video as PyAV wants a file: ``read``, ``seek``, ``tell``. No name, nothing to open.

    Parts in ``holes`` read as zeros without being fetched; whoever sets them knows that nobody
    looks at them.
    """

    name = "video"

    def __init__(self, service: Service, size: int) -> None:
        self._service = service
        self.size = size
        self._position = 0
        self._hole_starts: list[int] = []
        self._hole_ends: list[int] = []

    def skip(self, holes: list[tuple[int, int]]) -> None:
        """Makes the (start, end) ranges, ascending and apart from each other, read as zeros."""
        self._hole_starts = [start for start, _ in holes]
        self._hole_ends = [end for _, end in holes]

    def read(self, length: int) -> bytes:
        at = self._position
        length = min(length, self.size - at)
        if length <= 0:
            return b""
        hole = bisect_right(self._hole_starts, at) - 1
        if hole >= 0 and at < self._hole_ends[hole]:
            data = bytes(min(length, self._hole_ends[hole] - at))
        else:
            if hole + 1 < len(self._hole_starts):
                length = min(length, self._hole_starts[hole + 1] - at)
            data = self._service.read(at, length)
        self._position += len(data)
        return data

    def read_at(self, offset: int, length: int, *, apart: bool = False) -> bytes:
        """The true bytes from ``offset``, wherever ``read`` stands; fewer only at the end."""
        data = b""
        while len(data) < length and offset + len(data) < self.size:
            piece = self._service.read(offset + len(data), length - len(data), apart=apart)
            if not piece:
                break
            data += piece
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def seekable(self) -> bool:
        return True
