"""A bad line: a TCP proxy that drops connections after so many bytes, damages or slows them."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

_RESET = struct.pack("ii", 1, 0)
_WAIT_SECONDS = 120.0


class CuttingProxy:
    """Passes bytes on to ``target``, a URL, until the next cut.

    ``cuts`` are numbers of bytes: the first connection to have carried so many towards the
    service is reset, then the next number counts. Without cuts everything passes. With
    ``answers`` the bytes that come back count instead, so that an answer is lost. ``damages``
    work like ``cuts`` towards the service: one bit of the byte at that place is flipped.
    """

    def __init__(
        self,
        target: str,
        cuts: list[int] | None = None,
        *,
        answers: bool = False,
        damages: list[int] | None = None,
    ) -> None:
        self.cuts = list(cuts or [])
        self.damages = list(damages or [])
        self.pause = 0.0
        """Seconds that each chunk of a client takes, to make uploads slow."""
        self.made = 0
        """Cuts made so far."""
        self.damaged = 0
        """Bits flipped so far."""
        self.received = 0
        """Bytes that clients have sent so far."""
        self._answers = answers
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._down = False
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.2)
        self.point_at(target)

    @property
    def url(self) -> str:
        """What to call instead of the target."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def point_at(self, target: str) -> None:
        """Passes new connections on to this server."""
        address = urlsplit(target)
        assert address.hostname
        assert address.port
        self._target = (address.hostname, address.port)

    def hang_up(self, seconds: float = 0.0) -> None:
        """Resets every connection, and lets none in for so long."""
        self._down = True
        with self._lock:
            ends = list(self._open)
        for end in ends:
            _reset(end)
        threading.Timer(seconds, setattr, (self, "_down", False)).start()

    def reset(self) -> None:
        """Becomes a good line, and counts anew."""
        self.cuts, self.damages, self.pause = [], [], 0.0
        self.made = self.damaged = self.received = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[CuttingProxy]:
        """Serves until the block ends."""
        thread = threading.Thread(target=self._accept, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._closing.set()
            self.hang_up()
            thread.join(timeout=10)
            self._listener.close()

    def _accept(self) -> None:
        carriers: list[threading.Thread] = []
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            if self._down:
                client.close()
                continue
            carrier = threading.Thread(target=self._carry, args=(client,), daemon=True)
            carrier.start()
            carriers.append(carrier)
        for carrier in carriers:
            carrier.join(timeout=10)

    def _carry(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.settimeout(_WAIT_SECONDS)
            with socket.create_connection(self._target, timeout=_WAIT_SECONDS) as service:
                with self._lock:
                    self._open |= {client, service}
                back = threading.Thread(target=self._pass, args=(service, client), daemon=True)
                back.start()
                self._pass(client, service, forth=True)
                back.join(timeout=_WAIT_SECONDS)
                with self._lock:
                    self._open -= {client, service}

    def _pass(self, source: socket.socket, sink: socket.socket, *, forth: bool = False) -> None:
        carried = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._let_through()
                if forth:
                    data = self._damage(data, carried)
                    self.received += len(data)
                carried += len(data)
                if forth != self._answers and self._cut(carried):
                    _reset(source)
                    _reset(sink)
                    return
                sink.sendall(data)
                if forth and self.pause:
                    time.sleep(self.pause)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _let_through(self) -> None:
        """Returns when bytes may pass."""

    def _cut(self, carried: int) -> bool:
        with self._lock:
            if not self.cuts or carried < self.cuts[0]:
                return False
            del self.cuts[0]
            self.made += 1
            return True

    def _damage(self, data: bytes, carried: int) -> bytes:
        with self._lock:
            if not self.damages or carried + len(data) <= self.damages[0]:
                return data
            place = max(0, self.damages.pop(0) - carried)
            self.damaged += 1
        return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def _reset(end: socket.socket) -> None:
    """Ends a connection as a broken line does: those who wait in it wake up."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        end.shutdown(socket.SHUT_RDWR)
