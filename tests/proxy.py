"""A TCP proxy that does to connections what bad lines do."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit


class Proxy:
    """Passes bytes between its own port and a server, until told to do harm.

    ``cut_after`` is a list of byte counts: each new connection takes one and is cut when the
    client has sent so many bytes. ``damage_after`` works alike and flips one bit of the byte at
    that place. ``open`` set to False drops all connections and lets none in. ``pause`` is a time
    that each chunk from the client takes, to make uploads slow.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (str(parts.hostname), parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()
        self._ended = False
        self.cut_after: list[int] = []
        self.damage_after: list[int] = []
        self.open = True
        self.pause = 0.0
        self.received = 0
        """Bytes that clients have sent through it."""
        self.cuts = 0
        self.damaged = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def point_at(self, url: str) -> None:
        """Passes new connections on to another server."""
        parts = urlsplit(url)
        self._target = (str(parts.hostname), parts.port or 80)

    def cut_all(self) -> None:
        """Cuts every connection that is open now."""
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            _reset(*pair)
        self.cuts += len(pairs)

    def close(self) -> None:
        """Ends it and all connections."""
        self._ended = True
        self._listener.close()
        self.cut_all()

    def _accept(self) -> None:
        while not self._ended:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if not self.open:
                client.close()
                continue
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._target, timeout=60)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        pair = (client, server)
        with self._lock:
            self._pairs.add(pair)
            cut = self.cut_after.pop(0) if self.cut_after else None
            damage = self.damage_after.pop(0) if self.damage_after else None
        back = threading.Thread(target=_copy, args=(server, client), daemon=True)
        back.start()
        self._forward(client, server, cut, damage)
        back.join(timeout=60)
        with self._lock:
            self._pairs.discard(pair)
        client.close()
        server.close()

    def _forward(
        self, client: socket.socket, server: socket.socket, cut: int | None, damage: int | None
    ) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while chunk := client.recv(65536):
                if not self.open:
                    break
                if damage is not None and passed <= damage < passed + len(chunk):
                    place = damage - passed
                    chunk = chunk[:place] + bytes([chunk[place] ^ 1]) + chunk[place + 1 :]
                    self.damaged += 1
                passed += len(chunk)
                self.received += len(chunk)
                if cut is not None and passed > cut:
                    self.cuts += 1
                    _reset(client, server)
                    return
                server.sendall(chunk)
                if self.pause:
                    time.sleep(self.pause)
            if not self.open:
                _reset(client, server)
                return
            server.shutdown(socket.SHUT_WR)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)


def _reset(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def proxied(url: str) -> Iterator[Proxy]:
    """A proxy before this server, for the length of a ``with`` block."""
    proxy = Proxy(url)
    try:
        yield proxy
    finally:
        proxy.close()
