"""A real receiver of webhooks on a loopback address."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
SECONDS = 60.0


@dataclass(frozen=True)
class Received:
    """One request that came in."""

    path: str
    headers: dict[str, str]
    body: str


@dataclass(frozen=True)
class Answer:
    """What to say to it."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    stays: bool = False
    """Whether the connection is kept open behind the body."""


@dataclass
class Receiver:
    """What came in, and how to answer to it: ``answer`` may also take its time."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answer: Callable[[], Answer] = Answer
    released: threading.Event = field(default_factory=threading.Event)

    def hang(self) -> Answer:
        """Answers only when the test is over, or says so."""
        self.released.wait(SECONDS)
        return Answer()

    def wait(self, number: int = 1, seconds: float = SECONDS) -> list[Received]:
        """Returns once so many requests came in."""
        end = time.monotonic() + seconds
        while len(self.received) < number:
            assert time.monotonic() < end, self.received
            time.sleep(0.02)
        return self.received


@contextmanager
def receiver(
    *, address: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[Receiver]:
    """Runs a receiver."""
    here = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            body = self.rfile.read(size).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            here.received.append(Received(self.path, headers, body))
            said = here.answer()
            try:
                self.send_response(said.status)
                for name, value in said.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(said.body)
                if said.stays:
                    here.released.wait(SECONDS)
            except OSError:
                return  # nobody listens any more

        def log_message(self, *_: object) -> None:
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def get_request(self) -> tuple[socket.socket, Any]:
            connection, peer = super().get_request()
            if tls is None:
                return connection, peer
            return tls.wrap_socket(connection, server_side=True), peer

        def handle_error(self, *_: object) -> None:
            return

    server = Server((address, port), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    scheme = "http" if tls is None else "https"
    here.url = f"{scheme}://{address}:{server.server_port}/hook?token=s3cret"
    try:
        yield here
    finally:
        here.released.set()
        server.shutdown()
        thread.join(SECONDS)
        server.server_close()
