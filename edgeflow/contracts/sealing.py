"""Seals on JSON messages: HMAC-SHA256 with a shared secret, or Ed25519, over one canonical form."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = ["Secret", "canonical", "is_sealed", "number_text", "seal"]

_FIELD = "signature"
_HMAC = "hmac-sha256:"
_ED25519 = "ed25519:"

Secret = bytes | Ed25519PrivateKey
"""Key of a seal: a shared secret, or a private key."""


def canonical(document: Mapping[str, Any]) -> bytes:
    """Bytes that are signed: the document without ``signature`` and nulls; keys sorted, no spaces, UTF-8.

    Numbers are as JavaScript writes them (250, never 250.0; 1e-7, never 1e-07): any language can do it.
    """
    kept = {name: value for name, value in document.items() if name != _FIELD}
    return _text(kept).encode()


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        entries = (f"{_text(name)}:{_text(value[name])}" for name in sorted(value) if value[name] is not None)
        return f"{{{','.join(entries)}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(_text(item) for item in value)}]"
    return number_text(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def number_text(value: float) -> str:
    """A finite number as JavaScript writes it (ECMA-262, Number::toString)."""
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    digits, _, exponent = repr(value).partition("e")
    if exponent and 1e-6 <= abs(value) < 1:
        return f"{Decimal(repr(value)):f}"
    return f"{digits}e{int(exponent):+d}" if exponent else digits


def seal(document: Mapping[str, Any], secret: Secret) -> str:
    """The value of the document's ``signature`` field."""
    data = canonical(document)
    if isinstance(secret, Ed25519PrivateKey):
        return _ED25519 + base64.b64encode(secret.sign(data)).decode()
    return _HMAC + base64.b64encode(hmac.digest(secret, data, "sha256")).decode()


def is_sealed(document: Mapping[str, Any], key: bytes | Ed25519PublicKey) -> bool:
    """True if the document carries the seal of this secret, or of this public key's owner."""
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
