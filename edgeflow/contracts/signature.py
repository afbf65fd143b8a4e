"""An Ed25519 signature over the exact bytes of a manifest: made by one function, checked by another."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Annotated, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import Field, StringConstraints, ValidationError

from edgeflow.contracts.documents.document import Document
from edgeflow.errors import IntegrityError

__all__ = [
    "MAX_SIGNATURE_BYTES",
    "SIGNATURE_NAME",
    "Signature",
    "TrustedKeys",
    "key_id",
    "parse_signature",
    "sign_manifest",
    "verify_signature",
]

SIGNATURE_NAME = "manifest.sig"
MAX_SIGNATURE_BYTES = 4096

TrustedKeys = Mapping[str, Ed25519PublicKey]
"""Key id → public key. The id is derived from the key itself, never taken from a file."""


class Signature(Document):
    """The content of ``manifest.sig``; the manifest holds the hash of every other file."""

    schema_: Literal["edgeflow/signature/1"] = Field(default="edgeflow/signature/1", alias="schema")
    algorithm: Literal["ed25519"] = "ed25519"
    key_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    signature: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{86}==$")]


def key_id(key: Ed25519PublicKey) -> str:
    """The name of a public key: the first 128 bits of the SHA-256 of its 32 bytes, in hexadecimal."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:32]


def sign_manifest(manifest: bytes, key: Ed25519PrivateKey) -> bytes:
    """The bytes of ``manifest.sig``; Ed25519 draws no random number, so they are always the same."""
    signature = Signature(
        key_id=key_id(key.public_key()), signature=base64.b64encode(key.sign(manifest)).decode()
    )
    return signature.model_dump_json(by_alias=True, indent=1).encode()


def parse_signature(raw: bytes, *, what: str) -> Signature:
    """Read ``manifest.sig``; proves nothing yet.

    Raises:
        IntegrityError: not a signature that this version knows.
    """
    try:
        return Signature.model_validate_json(raw)
    except ValidationError as cause:
        raise IntegrityError(
            f"{what}: {SIGNATURE_NAME} is no signature that this edgeflow knows; copy the bundle again, or "
            "have it signed again with 'edgeflow keys sign'"
        ) from cause


def verify_signature(manifest: bytes, signature: Signature | None, trusted: TrustedKeys, *, what: str) -> str:
    """Prove that a trusted key signed these bytes. The manifest is not parsed for it.

    Args:
        trusted: the keys that may have signed; the signature's key id only chooses one of them.

    Returns:
        The id of the key that signed.

    Raises:
        IntegrityError: unsigned, signed by another key, or not what was signed.
    """
    known = ", ".join(trusted) or "none"
    if signature is None:
        raise IntegrityError(
            f"{what}: not signed, and this box runs only what was signed by {known}; "
            "sign it on the workstation: edgeflow keys sign BUNDLE --key KEY"
        )
    key = trusted.get(signature.key_id)
    if key is None:
        raise IntegrityError(
            f"{what}: signed by key {signature.key_id}, trusted are {known}; "
            "add its public key to trust.keys if the bundle is yours, else do not use it"
        )
    try:
        key.verify(base64.b64decode(signature.signature), manifest)
    except InvalidSignature as cause:
        raise IntegrityError(
            f"{what}: the manifest is not what key {signature.key_id} signed: altered after signing; "
            "copy the bundle again from where it was made"
        ) from cause
    return signature.key_id
