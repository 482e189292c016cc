"""The text of a plate as it is kept: plain, or as a keyed hash of it."""

from __future__ import annotations

import hashlib
import hmac
import re

from pydantic import SecretStr

HASH = re.compile(r"[0-9A-F]{32}")
"""A hashed text. No plate is as long, so that the two cannot be mistaken for each other."""

_KEPT_BITS = 128


def normalised(text: str) -> str:
    """The text as it is compared: capitals, without the signs that stand between them."""
    return re.sub(r"[\s.\-]", "", text.upper())


def kept(key: SecretStr | None, text: str) -> str:
    """What is kept of a normalised text: itself without a key, else HMAC-SHA-256 of it.

    The hash is truncated to 128 bits, as RFC 2104 (section 5) allows: by chance, two of 2**40
    texts are the same with a probability of about 2**-49.
    """
    if key is None:
        return text
    whole = hmac.new(key.get_secret_value().encode(), text.encode(), hashlib.sha256)
    return whole.hexdigest().upper()[: _KEPT_BITS // 4]
