"""The words that the service and its decoding child exchange over two sockets.

On the control socket go JSON messages, each after its length; from the service also single
bytes, one for each picture slot that may be written again. On the bytes socket the child asks
for a piece of the video (READ) and gets its length and the bytes. Nothing is unpickled and all
lengths are bounded, because the child may have been taken over by the video.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable
from typing import Any

LENGTH = struct.Struct("!I")
READ = struct.Struct("!QIB")
"""Offset, length, 1 for a small piece far from the others."""

LONGEST_MESSAGE = 32 * 1024 * 1024
LONGEST_READ = 1024 * 1024


class Gone(Exception):
    """The other side has closed its socket."""


def receive(sock: socket.socket, count: int, waiting: Callable[[], None] | None = None) -> bytes:
    """Exactly ``count`` bytes. Raises Gone at the end.

    ``waiting`` is called each time the socket's timeout passes, and raises to give up.
    """
    pieces = bytearray()
    while len(pieces) < count:
        try:
            piece = sock.recv(count - len(pieces))
        except TimeoutError:
            if waiting is None:
                raise
            waiting()
            continue
        except ConnectionError as error:
            raise Gone from error
        if not piece:
            raise Gone
        pieces += piece
    return bytes(pieces)


def pack(message: dict[str, Any]) -> bytes:
    body = json.dumps(message, separators=(",", ":")).encode()
    return LENGTH.pack(len(body)) + body


def receive_message(
    sock: socket.socket, waiting: Callable[[], None] | None = None
) -> dict[str, Any]:
    """The next message. Raises Gone, and ValueError for what is not one."""
    (length,) = LENGTH.unpack(receive(sock, LENGTH.size, waiting))
    if length > LONGEST_MESSAGE:
        raise ValueError("message too long")
    message = json.loads(receive(sock, length, waiting))
    if not isinstance(message, dict):
        raise ValueError("message is not an object")  # noqa: TRY004 - malformed data, no type error
    return message
