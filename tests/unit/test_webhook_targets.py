"""Where webhooks may go, and how they are signed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from detect_api.core.errors import InvalidRequest, Unavailable
from detect_api.webhooks.address import is_public
from detect_api.webhooks.send import Sender, system_resolver
from detect_api.webhooks.target import Rules, check_webhook, origin_of
from tests.conftest import make_settings
from tests.receiver import SECRET

OTHER_SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
PRIVATE = [
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254",
    "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192",
    "192.168.1.1", "198.18.0.1", "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1",
    "255.255.255.255",
    "::", "::1", "fe80::1", "fe80::1%1", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:8.8.8.8",
    "::8.8.8.8", "64:ff9b::808:808", "64:ff9b:1::1", "2002:808:808::1", "2001::1", "2001:db8::1",
    "3fff::1", "100::1", "5f00::1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "8.8.8.8", "172.32.0.1", "192.169.0.1", "2606:4700::1111", "2a00:1450::1"]


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_of_no_use_on_the_internet_are_refused(address: str) -> None:
    assert not Rules().allows(address)
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(InvalidRequest):
        Rules().check_url(f"https://{host}/hook")


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert Rules().allows(address)
    host = f"[{address}]" if ":" in address else address
    assert Rules().check_url(f"https://{host}/hook").host == address


def test_what_is_no_address_is_refused() -> None:
    assert not Rules().allows("localhost")
    assert not Rules().allows("")


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_inside_an_ipv6_one_is_refused(inner: ipaddress.IPv4Address) -> None:
    number = int(inner)
    forms = [
        ipaddress.IPv6Address(0xFFFF << 32 | number),
        ipaddress.IPv6Address(number),
        ipaddress.IPv6Address((0x64FF9B << 96) | number),
        ipaddress.IPv6Address((0x2002 << 112) | number << 80),
        ipaddress.IPv6Address((0x20010000 << 96) | (number ^ 0xFFFFFFFF)),
    ]
    assert not any(is_public(form) for form in forms)


@given(st.ip_addresses())
def test_what_python_calls_private_or_special_is_never_public(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    special = (
        address.is_private or address.is_loopback or address.is_link_local
        or address.is_multicast or address.is_reserved or address.is_unspecified
    )  # fmt: skip
    assert not (special and is_public(address))


def written(number: int, style: list[str], parts: int) -> str:
    """An IPv4 address in one of the forms that ``inet_aton`` takes."""
    octets = [number >> 24, number >> 16 & 255, number >> 8 & 255, number & 255]
    last = number & (1 << 8 * (5 - parts)) - 1
    values = [*octets[: parts - 1], last]
    formats = {"decimal": "{:d}", "octal": "0{:o}", "hex": "0x{:x}", "HEX": "0X{:X}"}
    return ".".join(formats[kind].format(value) for kind, value in zip(style, values, strict=False))


RESOLVE = system_resolver()


@given(
    st.sampled_from([a for a in PRIVATE if ":" not in a]),
    st.lists(st.sampled_from(["decimal", "octal", "hex", "HEX"]), min_size=4, max_size=4),
    st.integers(1, 4),
)
def test_a_private_address_in_disguise_is_refused(
    address: str, style: list[str], parts: int
) -> None:
    host = written(int(ipaddress.IPv4Address(address)), style, parts)
    with pytest.raises(InvalidRequest):
        Rules().check_url(f"https://{host}/hook")
    # Even if it were not refused by its looks: what the system makes of it is not connected to.
    try:
        found = asyncio.run(RESOLVE(host, 443))
    except OSError:
        return
    assert not any(Rules().allows(one) for one in found)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/", "ftp://example.com/", "file:///etc/passwd", "//example.com/", "x",
        "", "https://", "https:///x", "https://:443/", "https://user@example.com/",
        "https://user:password@example.com/", "https://@example.com/",
        "https://example.com:22/", "https://example.com:0/", "https://example.com:99999/",
        "https://example.com/#part", "https://exa mple.com/", "https://example.com\\@127.0.0.1/",
        "https://exämple.com/", "https://example..com/", "https://[::1/", "https://[::1%25eth0]/",
        "https://example.com/" + "x" * 2048, "https://127.1/", "https://2130706433/",
        "https://0x7f000001/", "https://a.b.0x7f/", "https://1.2.3.4.5/", "https://%31/",
        "https://example.com:443:80/", "https://-/\n",
    ],
)  # fmt: skip
def test_urls_that_are_not_sent_to(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Rules().check_url(url)
    assert refused.value.code == "webhook_url_refused"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.com", "https://example.com"),
        ("https://example.com/hook/T0KEN?key=abc", "https://example.com"),
        ("https://example.com:8443/a@b", "https://example.com:8443"),
        ("https://xn--exmple-cua.com:65535/", "https://xn--exmple-cua.com:65535"),
        ("HTTPS://EXAMPLE.com./", "https://example.com."),
    ],
)
def test_urls_that_are_sent_to_and_what_is_shown_of_them(url: str, shown: str) -> None:
    Rules().check_url(url)
    assert origin_of(url) == shown


@given(st.text(max_size=60), st.sampled_from(["", "https://", "http://", "https://[", "//"]))
def test_whatever_is_given_is_taken_or_refused_in_a_sentence(text: str, start: str) -> None:
    assert origin_of(start + text), "never raises: it is called when a job ends"
    try:
        url = Rules().check_url(start + text)
    except InvalidRequest:
        return
    assert url.scheme == "https"
    assert not url.userinfo
    assert url.host


def test_an_allowed_network_is_allowed_and_no_other() -> None:
    rules = Rules.from_settings(make_settings(webhook_allowed_networks="10.2.0.0/16, fd00::/8"))
    assert rules.allows("10.2.3.4")
    assert rules.allows("fd12::1")
    assert not rules.allows("10.3.0.1")
    rules.check_url("https://10.2.0.1/")


def test_plain_http_only_where_it_is_allowed() -> None:
    url = Rules.from_settings(make_settings(webhook_allow_http=True)).check_url("http://a.com/")
    assert url.scheme == "http"


# -- settings -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"webhook_secret": "whsec_c2hvcnQ="}, "WEBHOOK_SECRET"),
        ({"webhook_secret": SECRET.removeprefix("whsec_")}, "WEBHOOK_SECRET"),
        ({"webhook_secret": f"{SECRET} whsec_???"}, "WEBHOOK_SECRET"),
        ({"webhook_url": "https://example.com/"}, "WEBHOOK_URL"),
        ({"webhook_allowed_networks": "10.0.0.0/33"}, "webhook_allowed_networks"),
        ({"webhook_ca_file": "/nowhere/ca.pem"}, "webhook_ca_file"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        make_settings(**values)


def test_no_secret_is_no_webhook() -> None:
    with pytest.raises(Unavailable, match="WEBHOOK_SECRET"):
        check_webhook(make_settings(webhook_secret=" "), "https://example.com/")
    check_webhook(make_settings(), None)
    check_webhook(make_settings(webhook_secret=SECRET), "https://example.com/")


def test_a_sender_without_a_secret_sends_nothing() -> None:
    sender = Sender.from_settings(make_settings())
    outcome = asyncio.run(sender.send("https://example.com/", "id", "{}"))
    assert outcome.status is None
    assert outcome.error is not None
    assert "WEBHOOK_SECRET" in outcome.error


# -- signatures -----------------------------------------------------------------------------


def test_each_secret_signs_and_a_stranger_does_not_pass() -> None:
    sender = Sender(Rules(), (OTHER_SECRET, SECRET), ssl.create_default_context())
    body = '{"type":"job.completed","data":{"text":"Ä"}}'
    headers = sender.headers("the-id", datetime.now(UTC), body)
    for secret in (SECRET, OTHER_SECRET):
        assert Webhook(secret).verify(body, headers) == {
            "type": "job.completed",
            "data": {"text": "Ä"},
        }
    stranger = "whsec_" + base64.b64encode(b"x" * 32).decode()
    for secret, said in ((stranger, body), (SECRET, body + " ")):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(said, headers)


def test_a_signature_is_what_the_standard_says() -> None:
    sender = Sender(Rules(), (SECRET,), ssl.create_default_context())
    headers = sender.headers("the-id", datetime.fromtimestamp(1736778702.9, UTC), "{}")
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    digest = hmac.new(key, b"the-id.1736778702.{}", hashlib.sha256).digest()
    assert headers == {
        "webhook-id": "the-id",
        "webhook-timestamp": "1736778702",
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def test_secrets_do_not_show_in_the_settings(tmp_path: Path) -> None:
    settings = make_settings(webhook_secret=SECRET, webhook_url="https://e.com/T0KEN")
    assert SECRET not in repr(settings)
    assert "T0KEN" not in repr(settings)
