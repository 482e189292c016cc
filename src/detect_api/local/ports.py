"""Loopback ports for the embedded parts, the same ones again at every start where possible."""

from __future__ import annotations

import json
import secrets
import socket
from pathlib import Path

from detect_api.local.layout import StackError, write_private

LOOPBACK = "127.0.0.1"
GRPC_OFFSET = 10000  # SeaweedFS listens on each of its ports and on that port plus this
# Below 32768 even with the offset: the kernel hands out ports above for outgoing connections.
FIRST, LAST = 11000, 22700


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether nobody listens on the port of this address now."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError:
            return False
    return True


def answers(port: int) -> bool:
    """Whether somebody on this machine takes connections there. Does not disturb a start, as
    trying to bind would."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1.0):
            return True
    except OSError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 takes a free one.

    Raises ``StackError`` naming the way out when the address or port cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1024)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise StackError(
            f"The API cannot listen on {host} port {port} ({error.strerror or error}): "
            "stop what uses it or choose another with --port or PORT (0 takes a free one).",
            code="port_taken",
        ) from None
    return listener


class PortBook:
    """Remembers which part listens where, in a file, so that URLs outlive a restart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            stored = json.loads(path.read_text())
            self._ports = {str(name): int(port) for name, port in stored.items()}
        except (FileNotFoundError, ValueError, AttributeError, TypeError):
            self._ports = {}

    def claim(self, names: list[str], *, offset: int | None = None) -> dict[str, int]:
        """A free port for each name: the remembered one unless somebody else took it.

        With ``offset`` the port that lies so much higher is free, too.
        """
        claimed: dict[str, int] = {}
        for name in names:
            others = {port for other, port in self._ports.items() if other != name}
            port = self._ports.get(name)
            if port is None or not _usable(port, offset):
                port = _find(others, offset)
            self._ports[name] = claimed[name] = port
        write_private(self._path, json.dumps(self._ports, indent=1))
        return claimed

    def known(self, name: str) -> int:
        """Where the part listened last; raises ``StackError`` if it never did."""
        try:
            return self._ports[name]
        except KeyError:
            raise StackError(f"{self._path} knows no port for {name}.") from None


def _usable(port: int, offset: int | None) -> bool:
    return is_free(port) and (offset is None or is_free(port + offset))


def _find(taken: set[int], offset: int | None) -> int:
    for _ in range(200):
        # Random, so that two stacks that start at the same moment do not choose the same port.
        port = FIRST + secrets.randbelow(LAST - FIRST)
        if port not in taken and _usable(port, offset):
            return port
    raise StackError(f"No free loopback port between {FIRST} and {LAST}.")
