"""Clients that are trusted, and those whose authority has revoked them, as files in folders."""

from __future__ import annotations

import datetime as dt
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from edgeflow.errors import StorageError, UsageError
from edgeflow.files import replace_atomically

__all__ = ["TrustList", "Unfit", "thumbprint", "trust_refused"]

logger = logging.getLogger(__name__)

_MOST_REFUSED = 20
_SUFFIXES = (".der", ".pem", ".crt", ".cer")
_LIST_SUFFIXES = (".crl", ".der", ".pem")

Unfit = Literal["ended", "not yet", "revoked", "untrusted"]
T = TypeVar("T", x509.Certificate, x509.CertificateRevocationList)


def thumbprint(certificate: x509.Certificate) -> str:
    """Return the SHA-1 thumbprint as OPC UA programs show it."""
    return certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303 - a name, no protection


class TrustList:
    """Clients that are trusted: their certificates, or those of authorities that signed them, in a folder.

    The folders are read at every connection, so that a change needs no restart. A certificate that a list in
    ``crl`` names is refused, also where it lies among the trusted ones itself.
    """

    def __init__(self, folder: Path) -> None:
        self._trusted = folder / "trusted"
        self._lists = folder / "crl"
        self._refused = folder / "refused"
        self._told: set[str] = set()

    def state(self) -> tuple[object, ...]:
        """Return what differs once a file of the folders has come, gone or changed."""
        return tuple(
            (path.name, _changed_s(path))
            for folder in (self._trusted, self._lists)
            for path in sorted(folder.glob("*"))
        )

    def unfit(self, certificate: x509.Certificate, now: dt.datetime) -> Unfit | None:
        """Return why a client's certificate is not accepted; None where it is."""
        if certificate.not_valid_after_utc < now:
            return "ended"
        if certificate.not_valid_before_utc > now:
            return "not yet"
        known = _all(self._trusted, _SUFFIXES, _certificate)
        issuers = [authority for authority in known if _issued_by(certificate, authority, now)]
        if any(self._revoked(certificate, authority, now) for authority in issuers):
            return "revoked"
        return None if issuers or certificate in known else "untrusted"

    def _revoked(self, certificate: x509.Certificate, authority: x509.Certificate, now: dt.datetime) -> bool:
        """Return True if a list that the authority signed names the certificate."""
        found = False
        for revoked in _all(self._lists, _LIST_SUFFIXES, _revocation_list):
            if revoked.issuer != authority.subject or not _signed_by(revoked, authority):
                continue
            end = revoked.next_update_utc
            if end is not None and end < now:
                self._tell(
                    f"the revocation list of {authority.subject.rfc4514_string()!r} ended on "
                    f"{end:%Y-%m-%d}: who was revoked since then is let in; copy the new one to {self._lists}"
                )
            found |= revoked.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None
        return found

    def _tell(self, text: str) -> None:
        """Log a warning once."""
        if text not in self._told:
            self._told.add(text)
            logger.warning("%s", text)

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
            if (certificate := _certificate(path)) and wanted and thumbprint(certificate).startswith(wanted)
        }
        if len(found) != 1:
            names = ", ".join(path.name for path in sorted((folder / "refused").glob("*.der"))) or "none"
            raise UsageError(
                f"{which}: is no file, and the beginning of {len(found)} refused thumbprints; known: {names}"
            )
        file = next(iter(found))
    certificate = _certificate(file)
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


def _all(folder: Path, suffixes: tuple[str, ...], read: Callable[[Path], T | None]) -> list[T]:
    files = [path for path in folder.glob("*") if path.suffix.lower() in suffixes]
    return [found for path in files if (found := read(path)) is not None]


def _certificate(path: Path) -> x509.Certificate | None:
    return _read(path, "certificate", x509.load_pem_x509_certificate, x509.load_der_x509_certificate)


def _revocation_list(path: Path) -> x509.CertificateRevocationList | None:
    return _read(path, "revocation list", x509.load_pem_x509_crl, x509.load_der_x509_crl)


def _read(path: Path, what: str, pem: Callable[[bytes], T], der: Callable[[bytes], T]) -> T | None:
    """Return what a file holds in either form; None, with a warning, where it holds something else."""
    try:
        content = path.read_bytes()
        return pem(content) if content.startswith(b"-----") else der(content)
    except (OSError, ValueError) as cause:
        logger.warning("%s: is not a %s: %s", path, what, cause)
        return None


def _signed_by(revoked: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    try:
        return revoked.is_signature_valid(authority.public_key())  # type: ignore[arg-type]
    except (ValueError, TypeError, InvalidSignature):
        return False


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
