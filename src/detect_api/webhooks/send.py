"""Sending one webhook, once.

The name of the receiver's host is resolved here, every address that it stands for is checked, and
the connection is made to a checked address itself. A name that resolves to something else a
moment later (DNS rebinding) is therefore of no use. Redirects are not followed and no proxy is
used, since either would connect to an address that was not checked.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpcore
import httpx
from standardwebhooks.webhooks import Webhook

import detect_api
from detect_api.core.config import Settings
from detect_api.core.errors import InvalidRequest
from detect_api.webhooks.target import Rules

Resolver = Callable[[str, int], Coroutine[Any, Any, list[str]]]
"""All addresses of a host, in the order in which to try them. Raises OSError."""

TIMEOUT_SECONDS = 15.0
"""The longest time for one try, from the name's resolution to the answer's head."""

EXCERPT_BYTES = 1024
_BODY_SECONDS = 2.0
_RESOLVING_AT_ONCE = 32
"""A lookup can take about twice as long as a try, whose end it then does not notice."""
_MAX_ADDRESSES = 4
_MAX_RETRY_AFTER = 24 * 3600


class AddressRefused(Exception):
    """The host stands for an address to which nothing may be sent."""


class HostUnknown(Exception):
    """The host's name does not resolve."""


@dataclass(frozen=True)
class Outcome:
    """What came of one try. ``status`` is None if no answer came; ``error`` then says why.

    ``response`` is the beginning of the answer's body, ``retry_after`` what the receiver asked for
    in seconds.
    """

    at: datetime
    seconds: float
    status: int | None = None
    error: str | None = None
    response: str = ""
    retry_after: int = 0

    @property
    def delivered(self) -> bool:
        """Whether the receiver has taken it."""
        return self.status is not None and 200 <= self.status < 300


def system_resolver() -> Resolver:
    """Asks the machine's own resolver, in threads of its own.

    A name server that hangs would otherwise take threads from the process' other work.
    """
    threads = ThreadPoolExecutor(_RESOLVING_AT_ONCE, thread_name_prefix="resolve")

    def lookup(host: str, port: int) -> list[str]:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    async def resolve(host: str, port: int) -> list[str]:
        return await asyncio.get_running_loop().run_in_executor(threads, lookup, host, port)

    return resolve


@dataclass(frozen=True)
class Sender:
    """Signs and sends. One for a process."""

    rules: Rules
    secrets: tuple[str, ...]
    tls: ssl.SSLContext
    resolve: Resolver = field(default_factory=system_resolver)
    timeout: float = TIMEOUT_SECONDS

    @classmethod
    def from_settings(cls, settings: Settings, resolve: Resolver | None = None) -> Sender:
        """A sender as the settings want it. Raises OSError if WEBHOOK_CA_FILE holds no PEM."""
        tls = httpx.create_ssl_context(trust_env=False)
        if settings.webhook_ca_file is not None:
            tls.load_verify_locations(settings.webhook_ca_file)
        return cls(
            Rules.from_settings(settings),
            settings.webhook_secrets,
            tls,
            resolve or system_resolver(),
        )

    async def send(self, url: str, message_id: str, body: str) -> Outcome:
        """Sends one message once; never raises for what a receiver or the network does."""
        at, begun = datetime.now(UTC), time.monotonic()

        def outcome(**found: Any) -> Outcome:
            return Outcome(at, round(time.monotonic() - begun, 3), **found)

        if not self.secrets:
            return outcome(error="WEBHOOK_SECRET is not set, and nothing is sent unsigned.")
        try:
            target = self.rules.check_url(url)
        except InvalidRequest as error:
            return outcome(error=error.detail)
        try:
            return outcome(**await self._post(target, message_id, at, body))
        except TimeoutError:
            return outcome(error=f"No answer came within {self.timeout:g} seconds.")
        except Exception as error:  # whatever it was, this delivery has it, not the worker
            return outcome(error=_sentence(error))

    def headers(self, message_id: str, at: datetime, body: str) -> dict[str, str]:
        """The headers of Standard Webhooks, with a signature by each secret."""
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": " ".join(
                Webhook(secret).sign(message_id, at, body) for secret in self.secrets
            ),
        }

    async def _post(
        self, url: httpx.URL, message_id: str, at: datetime, body: str
    ) -> dict[str, Any]:
        headers = {
            "Host": url.netloc.decode("ascii"),
            "User-Agent": f"detect-api/{detect_api.__version__}",
            "Content-Type": "application/json",
            "Content-Length": str(len(body.encode())),
            "Connection": "close",
            **self.headers(message_id, at, body),
        }
        target = httpcore.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
        )
        pool = httpcore.AsyncConnectionPool(
            ssl_context=self.tls,
            max_connections=1,
            retries=0,
            network_backend=_GuardedNetwork(self.rules, self.resolve),
        )
        limits = dict.fromkeys(("connect", "read", "write", "pool"), self.timeout)
        async with (
            asyncio.timeout(self.timeout) as limit,
            pool,
            pool.stream(
                "POST", target, headers=list(headers.items()), content=body.encode(),
                extensions={"timeout": limits},
            ) as answer,
        ):  # fmt: skip
            # The answer is known: what may still come in time must not turn it into none.
            limit.reschedule(asyncio.get_running_loop().time() + _BODY_SECONDS + 1.0)
            return {
                "status": answer.status,
                "response": await _excerpt(answer),
                "retry_after": _retry_after(answer),
            }


class _GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to checked addresses only."""

    def __init__(self, rules: Rules, resolve: Resolver) -> None:
        self._rules = rules
        self._resolve = resolve
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  (httpcore's signature)
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to the first of the host's addresses that takes one.

        Raises HostUnknown, AddressRefused (if any single address is not allowed), or what the
        connection to the last address raised.
        """
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError):
            raise HostUnknown from None
        if not addresses:
            raise HostUnknown
        if not all(self._rules.allows(address) for address in addresses):
            raise AddressRefused
        last: Exception = HostUnknown()
        share = (timeout or TIMEOUT_SECONDS) / min(len(addresses), _MAX_ADDRESSES)
        for address in addresses[:_MAX_ADDRESSES]:
            try:
                return await self._network.connect_tcp(
                    address, port, share, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        raise last


async def _excerpt(answer: httpcore.Response) -> str:
    """The beginning of the body; what does not come soon is not waited for."""
    read = bytearray()
    broken = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError)
    with contextlib.suppress(TimeoutError, *broken):
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in answer.aiter_stream():
                read += chunk[:EXCERPT_BYTES]
                if len(read) >= EXCERPT_BYTES:
                    break
    text = bytes(read[:EXCERPT_BYTES]).decode("utf-8", errors="replace")
    # PostgreSQL holds no NUL, and a terminal that shows the log should stay as it is.
    return "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in text)


def _retry_after(answer: httpcore.Response) -> int:
    for name, value in answer.headers:
        if name.lower() == b"retry-after" and value.isdigit() and len(value) < 10:
            return min(int(value), _MAX_RETRY_AFTER)
    return 0


def _sentence(error: Exception) -> str:
    """What went wrong, without anything that only an insider should learn."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"The receiver's certificate is not valid: {cause.verify_message}."
        if isinstance(cause, ssl.SSLError):
            return "No TLS connection comes about with the receiver."
        cause = cause.__cause__ or cause.__context__
    sentences: dict[type[Exception], str] = {
        AddressRefused: "The host stands for a private or reserved address.",
        HostUnknown: "The host's name does not resolve.",
        httpcore.TimeoutException: "The receiver did not answer in time.",
        httpcore.ConnectError: "The receiver takes no connections.",
        httpcore.NetworkError: "The connection to the receiver broke.",
        httpcore.ProtocolError: "The receiver does not answer in HTTP.",
    }
    for kind, sentence in sentences.items():
        if isinstance(error, kind):
            return sentence
    return f"An internal error kept it from being sent ({type(error).__name__})."
