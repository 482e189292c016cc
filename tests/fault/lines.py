"""Lines that fail in more ways than a cut: silence, slowness both ways, a store that is busy."""

from __future__ import annotations

import contextlib
import random
import socket
import time
from collections.abc import Iterator

from tests.proxy import CuttingProxy

SLOW_DOWN = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code>'
    b"<Message>Please reduce your request rate.</Message></Error>"
)
INTERNAL_ERROR = SLOW_DOWN.replace(b"SlowDown", b"InternalError")


class BadLine(CuttingProxy):
    """A line on which bytes stop, crawl, or, towards S3, are answered with 500 and 503."""

    def __init__(self, target: str, rng: random.Random) -> None:
        super().__init__(target)
        self._rng = rng
        self._silent_until = 0.0
        self._refused_share = 0.0
        self.refused = 0
        """Requests answered with 500 or 503 so far."""

    def be_silent(self, seconds: float) -> None:
        """Nothing passes for so long; connections stay open, as when a machine vanishes."""
        self._silent_until = time.monotonic() + seconds

    @contextlib.contextmanager
    def slow(self, pause: float) -> Iterator[None]:
        """Each 64 KiB takes so many seconds longer."""
        self.pause = pause
        try:
            yield
        finally:
            self.pause = 0.0

    @contextlib.contextmanager
    def refusing(self, share: float) -> Iterator[None]:
        """This share of the connections is answered with S3's 503 SlowDown or 500."""
        self._refused_share = share
        self.hang_up()  # those that are kept open would never see it
        try:
            yield
        finally:
            self._refused_share = 0.0

    def _carry(self, client: socket.socket) -> None:
        if self._rng.random() < self._refused_share:
            self.refused += 1
            with client, contextlib.suppress(OSError):
                _refuse(client, busy=self._rng.random() < 0.7)
            return
        super()._carry(client)

    def _let_through(self) -> None:
        while (left := self._silent_until - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))


def _refuse(client: socket.socket, *, busy: bool) -> None:
    """Reads one request's head, answers it, and takes what else comes, for a little while."""
    client.settimeout(5)
    head = b""
    while b"\r\n\r\n" not in head and (data := client.recv(65536)):
        head += data
    status, body = (b"503 Slow Down", SLOW_DOWN) if busy else (b"500 Error", INTERNAL_ERROR)
    client.sendall(
        b"HTTP/1.1 " + status + b"\r\nContent-Type: application/xml\r\nConnection: close\r\n"
        b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
    )
    client.shutdown(socket.SHUT_WR)
    until = time.monotonic() + 5
    while time.monotonic() < until and client.recv(65536):
        pass
