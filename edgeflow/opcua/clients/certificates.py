"""The server's own certificate, made at its first start."""

from __future__ import annotations

import datetime as dt
import ipaddress
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edgeflow.errors import StorageError, UsageError
from edgeflow.files import replace_atomically

__all__ = ["OwnCertificate", "own_certificate"]

logger = logging.getLogger(__name__)

_DAYS = 3650
_EARLIER = dt.timedelta(days=1)  # clocks of boxes and clients differ
_KEY_BITS = 2048


@dataclass(frozen=True, kw_only=True)
class OwnCertificate:
    """The server's certificate (DER) and private key (PEM)."""

    certificate: Path
    key: Path


def own_certificate(folder: Path, uri: str, names: tuple[str, ...], now: dt.datetime) -> OwnCertificate:
    """Return the server's certificate; make one, valid for ten years, where the folder has none.

    Raises:
        UsageError: it has ended.
        StorageError: it cannot be read or written.
    """
    own = OwnCertificate(certificate=folder / "own" / "server.der", key=folder / "own" / "server.key.pem")
    try:
        if not own.certificate.exists():
            for name in ("own", "trusted", "crl", "refused"):
                (folder / name).mkdir(parents=True, exist_ok=True)
            _write_own(own, uri, names, now)
        end = x509.load_der_x509_certificate(own.certificate.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as cause:
        raise StorageError(
            f"{own.certificate.parent}: no certificate to read there: {cause}; check its rights, or remove "
            "it, so that a new one is made"
        ) from cause
    if end <= now:
        raise UsageError(
            f"{own.certificate}: ended on {end:%Y-%m-%d}; remove {own.certificate.parent}, so that "
            "a new one is made, and let the clients trust that"
        )
    if end - now < dt.timedelta(days=30):
        logger.warning(
            "%s: ends on %s; remove its folder then, and let clients trust the new one",
            own.certificate,
            f"{end:%Y-%m-%d}",
        )
    return own


def _write_own(own: OwnCertificate, uri: str, names: tuple[str, ...], now: dt.datetime) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, uri.rpartition(":")[2][:64]),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "edgeflow"),
        ]
    )
    usage = dict.fromkeys(("key_agreement", "crl_sign", "encipher_only", "decipher_only"), False)
    usage |= dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_cert_sign"),
        True,
    )
    public = key.public_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + dt.timedelta(days=_DAYS))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.UniformResourceIdentifier(uri), *(_alternative(name) for name in names)]
            ),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with os.fdopen(os.open(own.key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(private)
    with replace_atomically(own.certificate) as file:
        file.write(certificate.public_bytes(serialization.Encoding.DER))


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
