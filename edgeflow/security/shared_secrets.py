"""The secret with which a box seals its decisions, from its file."""

from __future__ import annotations

from pathlib import Path

from edgeflow.config.box import SealConfig
from edgeflow.contracts.sealing import Secret
from edgeflow.errors import ConfigError, UsageError
from edgeflow.security.keys import read_passphrase, read_private_key
from edgeflow.security.secret_file import read_secret_bytes

__all__ = ["MIN_SECRET", "read_secret"]

MIN_SECRET = 16
"""Bytes of a shared secret."""


def read_secret(seal: SealConfig | None) -> Secret | None:
    """What seals decisions; None where the box file wants no seal.

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
