"""Signing documents so that who has the public key can tell them from forged ones (Ed25519)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SEED_BYTES = 32


def canonical(document: dict[str, Any]) -> str:
    """The document as it is signed: JSON, keys in order, no spaces, ASCII only."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def sign(seed: bytes, text: str) -> str:
    """The signature of a text, in Base64."""
    return base64.b64encode(Ed25519PrivateKey.from_private_bytes(seed).sign(text.encode())).decode()


def public_key(seed: bytes) -> str:
    """What checks the signatures of this key, in Base64."""
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    return base64.b64encode(public.public_bytes_raw()).decode()


def key_id(public: str) -> str:
    """A short name of a public key."""
    return hashlib.sha256(base64.b64decode(public)).hexdigest()[:16]


def is_signed(public: str, text: str, signature: str) -> bool:
    """Whether the signature is one of this text by the owner of the public key.

    Raises ValueError if ``public`` is no key.
    """
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public, validate=True))
        key.verify(base64.b64decode(signature, validate=True), text.encode())
    except (InvalidSignature, binascii.Error):
        return False
    return True
