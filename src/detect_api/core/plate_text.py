"""The text of a plate as it is kept: plain, or as a keyed hash of it that names its key."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable

from pydantic import SecretStr

HASH = re.compile(r"(?:[0-9A-F]{8})?[0-9A-F]{32}")
"""A hashed text: the id of its key, which the first version did not write, and the hash. No plate
is as long, so that the two cannot be mistaken for each other."""

LONGEST_PLAIN = 31
LONGEST = 40

_HASH_DIGITS, _ID_DIGITS = 32, 8


def normalised(text: str) -> str:
    """The text as it is compared: capitals, without the signs that stand between them."""
    return re.sub(r"[\s.\-]", "", text.upper())


def kept(key: SecretStr | None, text: str) -> str:
    """What is kept of a normalised text: itself without a key, else the key's id and its
    HMAC-SHA-256.

    The hash is truncated to 128 bits, as RFC 2104 (section 5) allows: by chance, two of 2**40
    texts are the same with a probability of about 2**-49.
    """
    return text if key is None else key_id(key) + _hash(key, text)


def ways_kept(keys: Iterable[SecretStr], text: str) -> list[str]:
    """All that may be kept of a normalised text, by these keys or by none.

    What is a hash already is only itself.
    """
    if HASH.fullmatch(text):
        return [text]
    hashes = ((kept(key, text), _hash(key, text)) for key in keys)
    return [text, *(way for pair in hashes for way in pair)]


def key_id(key: SecretStr) -> str:
    """Names a key without telling it: 32 bits, made of what no plate's text is."""
    return _digest(key, "id of this key")[:_ID_DIGITS]


def id_in(words: str) -> str | None:
    """The id of the key in a hashed text; None in a plain one, and where it was not written."""
    return words[:_ID_DIGITS] if len(words) == LONGEST and HASH.fullmatch(words) else None


def _hash(key: SecretStr, text: str) -> str:
    return _digest(key, text)[:_HASH_DIGITS]


def _digest(key: SecretStr, words: str) -> str:
    whole = hmac.new(key.get_secret_value().encode(), words.encode(), hashlib.sha256)
    return whole.hexdigest().upper()
