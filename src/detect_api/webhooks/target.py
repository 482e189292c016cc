"""Where webhooks may go.

A URL is looked at twice: when a client gives it, so that an obvious mistake is said at once, and
each time something is sent, when the addresses are known that its host's name stands for.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

import httpx

from detect_api.core.config import Settings
from detect_api.core.errors import InvalidRequest, Unavailable
from detect_api.core.network import Network
from detect_api.webhooks.address import is_public

MAX_URL = 2048
_PLAIN = re.compile(r"[!-\[\]-~]+")
"""Printable ASCII without spaces and the backslash, which parsers disagree about."""
_HOST = re.compile(r"(?=.{1,254}$)[A-Za-z0-9_\-]{1,63}(\.[A-Za-z0-9_\-]{1,63})*\.?")
_LOOKS_LIKE_A_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
_WEB_PORTS = (80, 443)
_FIRST_USER_PORT = 1024


@dataclass(frozen=True)
class Rules:
    """What the settings allow as a receiver."""

    allow_http: bool = False
    networks: tuple[Network, ...] = ()

    @classmethod
    def from_settings(cls, settings: Settings) -> Rules:
        """The rules that WEBHOOK_ALLOW_HTTP and WEBHOOK_ALLOWED_NETWORKS make."""
        return cls(settings.webhook_allow_http, settings.webhook_networks)

    def allows(self, address: str) -> bool:
        """Whether a connection to this address may be made."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return is_public(parsed) or any(parsed in network for network in self.networks)

    def check_url(self, text: str) -> httpx.URL:
        """The URL, if it may be sent to as far as can be seen without asking for its host.

        Raises InvalidRequest.
        """
        if len(text) > MAX_URL or not _PLAIN.fullmatch(text):
            raise _refused(
                f"The webhook_url must have up to {MAX_URL} characters of plain ASCII: write "
                "other characters percent-encoded, and the host in Punycode."
            )
        try:
            url = httpx.URL(text)
            host, port = url.raw_host.decode("ascii"), url.port
        except (httpx.InvalidURL, ValueError):
            raise _refused("The webhook_url is not a well-formed URL.") from None
        if url.scheme != "https" and not (url.scheme == "http" and self.allow_http):
            raise _refused("The webhook_url must begin with https://.")
        if "@" in text.split("//", 1)[-1].split("/", 1)[0].split("?", 1)[0] or url.userinfo:
            raise _refused("The webhook_url must not carry a user name or password.")
        if "#" in text:
            raise _refused("The webhook_url must not have a fragment (#…).")
        if port is not None and port not in _WEB_PORTS and not _FIRST_USER_PORT <= port <= 65535:
            raise _refused(
                f"The webhook_url's port must be 80, 443 or at least {_FIRST_USER_PORT}."
            )
        self._check_host(host)
        return url

    def _check_host(self, host: str) -> None:
        try:
            ipaddress.ip_address(host)
        except ValueError:
            if not _HOST.fullmatch(host):
                raise _refused("The webhook_url names no host.") from None
            if _LOOKS_LIKE_A_NUMBER.fullmatch(host.rstrip(".").rsplit(".", 1)[-1]):
                raise _refused(
                    "The webhook_url must name its host, or write its address as usual."
                ) from None
            return
        if not self.allows(host):
            raise _refused("The webhook_url must not point to a private or reserved address.")


def check_webhook(settings: Settings, url: str | None) -> None:
    """Says no to a webhook_url that would not be sent to.

    Raises Unavailable where no secret is set to sign with, InvalidRequest for a URL that is not
    allowed.
    """
    if url is None:
        return
    if not settings.webhook_secrets:
        raise Unavailable(
            "Webhooks are not set up here: set WEBHOOK_SECRET, or leave webhook_url out and "
            "follow the job under its status_url.",
            code="webhooks_unavailable",
        )
    Rules.from_settings(settings).check_url(url)


def origin_of(url: str) -> str:
    """Scheme, host and port: what may be shown, since path and query often hold a token."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        return "?"
    return f"{parsed.scheme}://{parsed.netloc.decode('ascii')}"


def _refused(detail: str) -> InvalidRequest:
    return InvalidRequest(detail, code="webhook_url_refused")
