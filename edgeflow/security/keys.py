"""Ed25519 key files: made, read, and collected as the keys that a box trusts."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from edgeflow.contracts.signature import TrustedKeys, key_id
from edgeflow.errors import StorageError, UsageError
from edgeflow.security.secret_file import read_secret_bytes

__all__ = ["KeyPair", "new_key", "read_passphrase", "read_private_key", "read_public_key", "trusted_keys"]

PASSPHRASE_VARIABLE = "EDGEFLOW_KEY_PASSPHRASE"  # noqa: S105 - the variable's name
_MAX_KEY_BYTES = 16 * 1024


@dataclass(frozen=True, kw_only=True)
class KeyPair:
    """Files of a new key pair: the private one stays on the workstation, the public one goes to the boxes."""

    id: str
    private: Path
    public: Path


def new_key(name: Path, passphrase: bytes | None) -> KeyPair:
    """Make ``NAME.key.pem`` (for its owner only) and ``NAME.pub.pem``.

    Raises:
        UsageError: one of the files exists; a key that signed bundles must not be lost.
        StorageError: the folder cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    pair = KeyPair(
        id=key_id(key.public_key()),
        private=name.with_name(name.name + ".key.pem"),
        public=name.with_name(name.name + ".pub.pem"),
    )
    if pair.public.exists():
        raise UsageError(f"{pair.public}: exists already; choose another name")
    _create(pair.private, private, 0o600)
    _create(pair.public, public, 0o644)
    return pair


def read_passphrase(file: Path | None) -> bytes | None:
    """Read a private key's passphrase from the file without its line end, else from the environment.

    Raises:
        UsageError: the file cannot be read.
    """
    if file is None:
        return os.environ.get(PASSPHRASE_VARIABLE, "").encode() or None
    try:
        return read_secret_bytes(file).rstrip(b"\r\n") or None
    except OSError as cause:
        raise UsageError(f"{file}: passphrase cannot be read: {cause.strerror}") from cause


def read_private_key(path: Path, passphrase: bytes | None) -> Ed25519PrivateKey:
    """Read a private key.

    Raises:
        UsageError: no such file, not an Ed25519 private key, or not with this passphrase.
    """
    raw = _read(path)
    try:
        key = load_pem_private_key(raw, passphrase)
    except TypeError as cause:  # how cryptography says that a passphrase is missing, or one too many
        if passphrase is not None:
            return read_private_key(path, None)
        raise UsageError(
            f"{path}: needs its passphrase; give --passphrase-file, or EDGEFLOW_KEY_PASSPHRASE"
        ) from cause
    except (ValueError, UnsupportedAlgorithm) as cause:
        hint = "the passphrase is wrong, or the file is" if passphrase else "the file is"
        raise UsageError(f"{path}: {hint} no private key; make one with 'edgeflow keys new NAME'") from cause
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path}: not an Ed25519 key; make one with 'edgeflow keys new NAME'")
    return key


def read_public_key(path: Path) -> Ed25519PublicKey:
    """Read a public key.

    Raises:
        UsageError: no such file, or not an Ed25519 public key.
    """
    raw = _read(path)
    if b"PRIVATE KEY" in raw:
        raise UsageError(f"{path}: a private key; a box needs the .pub.pem file, keep this one to yourself")
    try:
        key = load_pem_public_key(raw)
    except (ValueError, UnsupportedAlgorithm) as cause:
        raise UsageError(f"{path}: not a public key in PEM form, as 'edgeflow keys new' writes it") from cause
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"{path}: not an Ed25519 key; make one with 'edgeflow keys new NAME'")
    return key


def trusted_keys(paths: Iterable[Path]) -> TrustedKeys:
    """Read the public keys in these files, by key id.

    Raises:
        UsageError: as :func:`read_public_key`.
    """
    keys = [read_public_key(path) for path in paths]
    return {key_id(key): key for key in keys}


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_KEY_BYTES)
    except OSError as cause:
        raise UsageError(f"{path}: key cannot be read: {cause.strerror}") from cause


def _create(path: Path, data: bytes, mode: int) -> None:
    """Create a file with these rights from its first moment on; an existing one is kept."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as cause:
        raise UsageError(f"{path}: exists already; choose another name") from cause
    except OSError as cause:
        raise StorageError(f"{path}: key cannot be written: {cause.strerror}; check the folder") from cause
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except OSError as cause:
        with contextlib.suppress(OSError):
            path.unlink()
        raise StorageError(f"{path}: key cannot be written: {cause.strerror}; make room") from cause
