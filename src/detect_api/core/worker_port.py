"""The port of a worker: its metrics, and answers to whoever looks after it.

``GET /metrics``, ``GET /health`` (200 while the process lives) and ``GET /ready`` (200 while it
takes work), without a key: nothing there names a video or a plate.
"""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from detect_api.core.worker_health import WorkerHealth

log = structlog.get_logger(__name__)

READ_SECONDS = 10.0


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 16
    registry: CollectorRegistry
    health: WorkerHealth

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            # "::" means every address, as it does for the API.
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away in the middle is nobody's fault."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = READ_SECONDS

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(200, CONTENT_TYPE_LATEST, generate_latest(self.server.registry))
        elif path in ("/health", "/ready"):
            health = self.server.health
            good, word = health.alive() if path == "/health" else health.ready()
            body = json.dumps({"ok": good, "detail": word}).encode()
            self._answer(200 if good else 503, "application/json", body)
        else:
            self._answer(404, "application/json", b'{"detail": "Not found."}')

    do_HEAD = do_GET  # noqa: N815 (the name that http.server looks for)

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_words: object) -> None:
        """Probes come every few seconds: not worth a line."""


def serve(registry: CollectorRegistry, health: WorkerHealth, host: str, port: int) -> int | None:
    """Answers on this port until the process ends; returns the port.

    One that is taken is logged, and no reason not to work: then None.
    """
    try:
        family, *_, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        kind = type("Server", (_Server,), {"address_family": family})
        server: _Server = kind(address, _Handler)
    except OSError as error:
        log.warning("metrics_port_taken", port=port, detail=error.strerror or str(error))
        return None
    server.registry, server.health = registry, health
    threading.Thread(target=server.serve_forever, name="worker-port", daemon=True).start()
    found: int = server.server_address[1]
    return found
