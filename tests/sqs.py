"""A queue that speaks SQS' JSON protocol on a real socket, as far as the worker uses it.

What it cannot show is how AWS itself behaves; it can fail at will, which AWS cannot.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_LONGEST_WAIT_SECONDS = 0.2
"""Shorter than SQS holds a request, so that tests need not wait for it."""


@dataclass
class Message:
    """A message, and when it may be received (again)."""

    body: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    visible_at: float = 0.0
    receipt: str = ""
    received: int = 0


@dataclass
class Queue:
    """A queue with all that waits in it. ``refuse`` answers so many calls of an action with 500."""

    address: str = ""
    visibility_seconds: float = 30.0
    messages: list[Message] = field(default_factory=list)
    refuse: dict[str, int] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"{self.address}/queue/arrivals"

    def send(self, body: str) -> Message:
        with self.lock:
            self.messages.append(Message(body))
            return self.messages[-1]

    def show_again(self) -> None:
        """Lets the visibility timeout of all messages pass."""
        with self.lock:
            for message in self.messages:
                message.visible_at = 0.0

    def answer(self, action: str, asked: dict[str, Any]) -> dict[str, Any]:
        assert asked["QueueUrl"] == self.url
        if action == "ReceiveMessage":
            end = time.monotonic() + min(asked.get("WaitTimeSeconds", 0), _LONGEST_WAIT_SECONDS)
            while not (taken := self._receive(asked.get("MaxNumberOfMessages", 1))):
                if time.monotonic() > end:
                    return {}
                time.sleep(0.02)
            return {"Messages": taken}
        assert action == "DeleteMessage"
        with self.lock:
            self.messages = [m for m in self.messages if m.receipt != asked["ReceiptHandle"]]
        return {}

    def _receive(self, most: int) -> list[dict[str, str]]:
        now = time.monotonic()
        with self.lock:
            taken = [m for m in self.messages if m.visible_at <= now][:most]
            for message in taken:
                message.visible_at = now + self.visibility_seconds
                message.receipt = str(uuid.uuid4())
                message.received += 1
            return [{"MessageId": m.id, "ReceiptHandle": m.receipt, "Body": m.body} for m in taken]


@contextmanager
def running_queue() -> Iterator[Queue]:
    """A queue on a free port of this machine."""
    queue = Queue()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            action = self.headers["X-Amz-Target"].removeprefix("AmazonSQS.")
            with queue.lock:
                queue.calls.append(action)
                refused = queue.refuse.get(action, 0) > 0
                queue.refuse[action] = queue.refuse.get(action, 0) - 1
            body = {"__type": "InternalFailure"} if refused else queue.answer(action, asked)
            text = json.dumps(body).encode()
            self.send_response(500 if refused else 200)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_arguments: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    queue.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield queue
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=60)
