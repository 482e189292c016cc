"""A line that breaks: a TCP proxy that drops connections after so many bytes."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

_RESET = struct.pack("ii", 1, 0)


class CuttingProxy:
    """Passes bytes on to ``target``, a URL, until the next cut.

    ``cuts`` are numbers of bytes: the first connection to have carried so many towards the
    service is reset, then the next number counts. Without cuts everything passes. With
    ``answers`` the bytes that come back count instead, so that an answer is lost.
    """

    def __init__(self, target: str, cuts: list[int], *, answers: bool = False) -> None:
        address = urlsplit(target)
        assert address.hostname
        assert address.port
        self._target = (address.hostname, address.port)
        self._cuts = list(cuts)
        self._answers = answers
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.2)
        self.made = 0
        """Cuts made so far."""

    @property
    def url(self) -> str:
        """What to call instead of the target."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @contextlib.contextmanager
    def running(self) -> Iterator[CuttingProxy]:
        """Serves until the block ends."""
        thread = threading.Thread(target=self._accept, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._closing.set()
            thread.join(timeout=10)
            self._listener.close()

    def _accept(self) -> None:
        carriers: list[threading.Thread] = []
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            carrier = threading.Thread(target=self._carry, args=(client,), daemon=True)
            carrier.start()
            carriers.append(carrier)
        for carrier in carriers:
            carrier.join(timeout=10)

    def _carry(self, client: socket.socket) -> None:
        service = socket.create_connection(self._target, timeout=30)
        client.settimeout(30)
        carried = 0
        with client, service, selectors.DefaultSelector() as ready:
            ready.register(client, selectors.EVENT_READ, service)
            ready.register(service, selectors.EVENT_READ, client)
            while not self._closing.is_set():
                for key, _ in ready.select(timeout=0.2):
                    source, sink = key.fileobj, key.data
                    assert isinstance(source, socket.socket)
                    try:
                        data = source.recv(65536)
                        if not data:
                            return
                        if (source is service) == self._answers:
                            carried += len(data)
                            if self._cut(carried):
                                for end in (client, service):
                                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                                return
                        sink.sendall(data)
                    except OSError:
                        return

    def _cut(self, carried: int) -> bool:
        with self._lock:
            if not self._cuts or carried < self._cuts[0]:
                return False
            del self._cuts[0]
            self.made += 1
            return True
