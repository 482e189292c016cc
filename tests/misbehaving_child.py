"""A decoding child that does what ``job["behave"]`` says instead of its work."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from detect_api.vision.channel import pack, receive_message
from detect_api.vision.child.__main__ import lock_in


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    job = receive_message(control)
    behave = job["behave"]
    if behave == "report":
        control.sendall(pack({"segment": report()}))
        control.sendall(pack({"done": True}))
    elif behave == "garbage":
        control.sendall(b"\0\0\0\4\xff\xfe\xfd\xfc")
    elif behave == "endless message":
        control.sendall(b"\xff\xff\xff\xff" + bytes(1000))
    elif behave == "list":
        body = json.dumps([1, 2]).encode()
        control.sendall(len(body).to_bytes(4, "big") + body)
    elif behave == "noise":
        for _ in range(200):
            with contextlib.suppress(BlockingIOError):
                os.write(2, b"x" * 60_000)
        control.sendall(pack({"done": True}))
    elif behave == "abort":
        os.abort()
    elif behave == "spin":
        resource.setrlimit(resource.RLIMIT_CPU, (1, 5))
        while True:
            control.sendall(pack({"alive": True}))
            time.process_time()
    time.sleep(60 if behave == "sleep" else 0)


def report() -> dict[str, Any]:
    """What the child could reach once it is locked in."""
    inherited = dict(os.environ)
    lock_in(100)
    reached = []
    attempts: dict[str, Callable[[], object]] = {
        "read a file": lambda: Path("/etc/hostname").read_text(),
        "write a file": lambda: Path("/tmp/written-by-child").write_text("x"),
        "open a socket": socket.socket,
        "make a pipe": os.pipe,
    }
    for name, attempt in attempts.items():
        with contextlib.suppress(OSError):
            attempt()
            reached.append(name)
    return {"environment": inherited, "reached": reached}


if __name__ == "__main__":
    main()
