"""Seals on JSON messages: HMAC-SHA256 with a shared secret, or Ed25519, over one canonical form."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = ["Secret", "canonical", "is_sealed", "seal"]

_FIELD = "signature"
_HMAC = "hmac-sha256:"
_ED25519 = "ed25519:"

Secret = bytes | Ed25519PrivateKey
"""What seals: a shared secret, or a private key."""


def canonical(document: Mapping[str, Any]) -> bytes:
    """What is sealed: the document without ``signature`` and what is null; keys sorted, no spaces, UTF-8.

    Numbers are as JavaScript writes them (250, never 250.0), so that any language can do it.
    """
    kept = {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in document.items()
        if name != _FIELD and value is not None
    }
    return json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def seal(document: Mapping[str, Any], secret: Secret) -> str:
    """The value of the document's ``signature`` field."""
    data = canonical(document)
    if isinstance(secret, Ed25519PrivateKey):
        return _ED25519 + base64.b64encode(secret.sign(data)).decode()
    return _HMAC + base64.b64encode(hmac.digest(secret, data, "sha256")).decode()


def is_sealed(document: Mapping[str, Any], key: bytes | Ed25519PublicKey) -> bool:
    """Whether the document carries the seal that this secret or this key's owner gives it."""
    text = document.get(_FIELD)
    prefix = _HMAC if isinstance(key, bytes) else _ED25519
    if not isinstance(text, str) or not text.startswith(prefix):
        return False
    try:
        given = base64.b64decode(text.removeprefix(prefix), validate=True)
        data = canonical(document)
    except ValueError:  # no base64; half a character, which JSON can spell
        return False
    if isinstance(key, bytes):
        return hmac.compare_digest(given, hmac.digest(key, data, "sha256"))
    try:
        key.verify(given, data)
    except InvalidSignature:
        return False
    return True
