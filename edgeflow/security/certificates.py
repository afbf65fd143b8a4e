"""TLS certificates of a plant: an authority, and what it signs for servers and clients."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edgeflow.errors import StorageError, UsageError

__all__ = ["Authority", "open_authority"]

_AUTHORITY_DAYS = 3650
_EARLIER = dt.timedelta(days=1)  # clocks of boxes and controllers differ
_LONGEST_NAME = 64


@dataclass(frozen=True, kw_only=True)
class Authority:
    """A certificate authority in a folder: others trust ``ca.pem``; ``ca.key`` signs and stays there."""

    folder: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def issue(
        self, names: tuple[str, ...], *, server: bool, now: dt.datetime, days: int
    ) -> tuple[Path, Path]:
        """Write ``NAME.pem`` and ``NAME.key`` after the first name, for a server or for a client.

        Args:
            names: host names and IP addresses of a server; the one name (the broker's user) of a client.
            days: until the certificate ends; never later than the authority.

        Raises:
            UsageError: a file is there already, or a name cannot stand in a certificate or a file's name.
            StorageError: the folder cannot be written.
        """
        first = _checked(names[0])
        paths = self.folder / f"{first}.pem", self.folder / f"{first}.key"
        for path in paths:
            _require_free(path)
        key = ec.generate_private_key(ec.SECP256R1())
        end = min(now + dt.timedelta(days=days), self.certificate.not_valid_after_utc)
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            _builder(_name(first), self.certificate.subject, key, now, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
        )
        if server:
            alternatives = x509.SubjectAlternativeName([_alternative(_checked(name)) for name in names])
            builder = builder.add_extension(alternatives, critical=False)
        _write(paths[1], _private(key), 0o600)
        _write(
            paths[0], builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), 0o644
        )
        return paths


def open_authority(folder: Path, now: dt.datetime) -> tuple[Authority, bool]:
    """Read the authority of a folder, or make it where the folder has none; True where it is new.

    Raises:
        UsageError: one of its two files is missing, damaged or of another kind, or it has ended.
        StorageError: the folder cannot be written.
    """
    certificate_file, key_file = folder / "ca.pem", folder / "ca.key"
    if not certificate_file.exists() and not key_file.exists():
        return _new_authority(folder, now), True
    try:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    except (OSError, ValueError, TypeError) as cause:
        raise UsageError(
            f"{folder}: ca.pem and ca.key cannot both be read: {cause}; name another folder"
        ) from cause
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise UsageError(f"{folder}: ca.key is not the key of ca.pem; name another folder")
    if certificate.not_valid_after_utc <= now:
        raise UsageError(f"{certificate_file}: has ended; make a new authority in another folder")
    return Authority(folder=folder, certificate=certificate, key=key), False


def _new_authority(folder: Path, now: dt.datetime) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("edgeflow plant authority")
    usage = dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
        False,
    )
    usage |= {"encipher_only": False, "decipher_only": False, "key_cert_sign": True, "crl_sign": True}
    certificate = (
        _builder(name, name, key, now, now + dt.timedelta(days=_AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write(folder / "ca.key", _private(key), 0o600)
    _write(folder / "ca.pem", certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return Authority(folder=folder, certificate=certificate, key=key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: dt.datetime, end: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _checked(name: str) -> str:
    plain = (
        name.isascii() and name.isprintable() and not set(name) & set("/\\ ") and name[:1] not in (".", "-")
    )
    if not name or not plain or len(name) > _LONGEST_NAME or name == "ca":
        raise UsageError(
            f"{name!r}: give a host name, an IP address or a user's name of at most 64 plain letters"
        )
    return name


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _require_free(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise UsageError(f"{path}: is there already; move it away to make a new one")


def _write(path: Path, content: bytes, mode: int) -> None:
    _require_free(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
    except OSError as cause:
        raise StorageError(
            f"{path}: cannot be written: {cause.strerror or cause}; check the folder"
        ) from cause
