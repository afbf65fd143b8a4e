"""Shared secrets and seal keys from files, for the decisions of a box and the commands to it."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edgeflow.config.commands import IssuerConfig
from edgeflow.config.delivery import SealConfig
from edgeflow.contracts.sealing import Secret
from edgeflow.errors import ConfigError, UsageError
from edgeflow.security.keys import read_passphrase, read_private_key, read_public_key
from edgeflow.security.secret_file import read_secret_bytes

__all__ = ["MIN_SECRET", "read_issuer_key", "read_secret"]

MIN_SECRET = 16
"""Fewest bytes of a shared secret."""


def read_secret(seal: SealConfig | None) -> Secret | None:
    """Read the secret or private key that seals decisions; None where the box file wants no seal.

    Raises:
        ConfigError: the file cannot be used; its content is not repeated.
    """
    if seal is None:
        return None
    try:
        if seal.secret_file is None:
            return read_private_key(seal.key_file or Path(), read_passphrase(None))
        secret = read_secret_bytes(seal.secret_file).strip()
    except (OSError, UsageError) as cause:
        why = cause.strerror if isinstance(cause, OSError) else str(cause)
        raise ConfigError(f"mqtt.seal: {why}; see 'edgeflow keys new'") from cause
    if len(secret) < MIN_SECRET:
        raise ConfigError(f"mqtt.seal.secret_file {seal.secret_file}: needs at least {MIN_SECRET} bytes")
    return secret


def read_issuer_key(issuer: IssuerConfig) -> bytes | Ed25519PublicKey:
    """Read the secret or public key with which an issuer's commands are verified.

    Raises:
        UsageError: neither is given, or it cannot be used; its content is not repeated.
        OSError: the secret's file cannot be read.
    """
    if issuer.key is not None:
        return read_public_key(issuer.key)
    if issuer.secret_file is None:
        raise UsageError("either secret_file or key")
    secret = read_secret_bytes(issuer.secret_file).strip()
    if len(secret) < MIN_SECRET:
        raise UsageError(f"{issuer.secret_file}: a secret of at least {MIN_SECRET} bytes, please")
    return secret
