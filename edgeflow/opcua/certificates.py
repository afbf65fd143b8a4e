"""Certificates: the server's own, made at its first start, and the clients that it trusts."""

from __future__ import annotations

import datetime as dt
import ipaddress
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edgeflow.errors import StorageError, UsageError
from edgeflow.files import replace_atomically

__all__ = ["OwnCertificate", "TrustList", "Unfit", "own_certificate", "thumbprint", "trust_refused"]

logger = logging.getLogger(__name__)

_DAYS = 3650
_EARLIER = dt.timedelta(days=1)  # clocks of boxes and clients differ
_KEY_BITS = 2048
_MOST_REFUSED = 20
_SUFFIXES = (".der", ".pem", ".crt", ".cer")

Unfit = Literal["ended", "not yet", "untrusted"]


@dataclass(frozen=True, kw_only=True)
class OwnCertificate:
    """The server's certificate (DER) and private key (PEM)."""

    certificate: Path
    key: Path


def thumbprint(certificate: x509.Certificate) -> str:
    """Return the SHA-1 thumbprint as OPC UA programs show it."""
    return certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303 - a name, no protection


def own_certificate(folder: Path, uri: str, names: tuple[str, ...], now: dt.datetime) -> OwnCertificate:
    """Return the server's certificate; make one, valid for ten years, where the folder has none.

    Raises:
        UsageError: it has ended.
        StorageError: it cannot be read or written.
    """
    own = OwnCertificate(certificate=folder / "own" / "server.der", key=folder / "own" / "server.key.pem")
    try:
        if not own.certificate.exists():
            for name in ("own", "trusted", "refused"):
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


class TrustList:
    """Clients that are trusted: their certificates, or those of authorities that signed them, in a folder.

    The folder is read at every connection, so that a change needs no restart.
    """

    def __init__(self, folder: Path) -> None:
        self._trusted = folder / "trusted"
        self._refused = folder / "refused"

    def unfit(self, certificate: x509.Certificate, now: dt.datetime) -> Unfit | None:
        """Return why a client's certificate is not accepted; None where it is."""
        if certificate.not_valid_after_utc < now:
            return "ended"
        if certificate.not_valid_before_utc > now:
            return "not yet"
        known = _certificates(self._trusted)
        if certificate in known:
            return None
        issuers = [authority for authority in known if _issued_by(certificate, authority, now)]
        return None if issuers else "untrusted"

    def keep_refused(self, certificate: x509.Certificate) -> Path | None:
        """Keep an unknown client's certificate, of the latest twenty, so that somebody may trust it."""
        path = self._refused / f"{_file_name(certificate)}.der"
        try:
            self._refused.mkdir(parents=True, exist_ok=True)
            for old in sorted(self._refused.glob("*.der"), key=_changed_s)[: -(_MOST_REFUSED - 1)]:
                old.unlink(missing_ok=True)
            with replace_atomically(path) as file:
                file.write(certificate.public_bytes(serialization.Encoding.DER))
        except OSError as cause:
            logger.warning("%s: cannot be kept: %s", path, cause)
            return None
        return path


def trust_refused(folder: Path, which: str) -> Path:
    """Trust a client: a certificate's file, or the beginning of a refused one's thumbprint.

    Raises:
        UsageError: there is none, or more than one.
        StorageError: the folder cannot be written.
    """
    file = Path(which)
    if not file.is_file():
        wanted = which.upper()
        found = {
            path: certificate
            for path in sorted((folder / "refused").glob("*.der"))
            if (certificate := _read(path)) and wanted and thumbprint(certificate).startswith(wanted)
        }
        if len(found) != 1:
            names = ", ".join(path.name for path in sorted((folder / "refused").glob("*.der"))) or "none"
            raise UsageError(
                f"{which}: is no file, and the beginning of {len(found)} refused thumbprints; known: {names}"
            )
        file = next(iter(found))
    certificate = _read(file)
    if certificate is None:
        raise UsageError(f"{file}: is not a certificate (DER or PEM)")
    target = folder / "trusted" / f"{_file_name(certificate)}.der"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replace_atomically(target) as out:
            out.write(certificate.public_bytes(serialization.Encoding.DER))
        (folder / "refused" / target.name).unlink(missing_ok=True)
    except OSError as cause:
        raise StorageError(f"{target}: cannot be written: {cause.strerror}; check its rights") from cause
    return target


def _certificates(folder: Path) -> list[x509.Certificate]:
    files = [path for path in folder.glob("*") if path.suffix.lower() in _SUFFIXES]
    return [found for path in files if (found := _read(path)) is not None]


def _read(path: Path) -> x509.Certificate | None:
    try:
        content = path.read_bytes()
        if content.startswith(b"-----"):
            return x509.load_pem_x509_certificate(content)
        return x509.load_der_x509_certificate(content)
    except (OSError, ValueError) as cause:
        logger.warning("%s: is not a certificate: %s", path, cause)
        return None


def _issued_by(certificate: x509.Certificate, authority: x509.Certificate, now: dt.datetime) -> bool:
    """Return True if a valid authority signed the certificate."""
    try:
        constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return constraints.ca and authority.not_valid_before_utc <= now <= authority.not_valid_after_utc


def _file_name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", str(names[0].value))[:40] if names else "client"
    return f"{name.lstrip('.-') or 'client'}-{thumbprint(certificate)}"


def _changed_s(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


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
