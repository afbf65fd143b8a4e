"""OPC UA client that shares no code with the server: node-opcua from npm, and certificates for it."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["CLIENT_URI", "Authority", "NodeOpcUa", "client_certificate", "install_node_opcua"]

CLIENT_URI = "urn:edgeflow:test-client"
PACKAGE = "node-opcua-client@2.182.0"
SCRIPT = Path(__file__).with_name("opcua_client.js")
_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class NodeOpcUa:
    """The installed client; a job is a JSON document, each step answers with one line."""

    modules: Path

    def start(self, job: dict[str, Any]) -> subprocess.Popen[str]:
        """Start a job."""
        process = subprocess.Popen(
            ["node", str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "NODE_PATH": str(self.modules),
                "HOME": str(self.modules),
            },
        )
        if process.stdin is not None:
            process.stdin.write(json.dumps(job))
            process.stdin.close()
        return process

    def run(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        """The lines of a job, but for those that only say that the client is connected."""
        with self.start(job) as process:
            lines = [json.loads(line) for line in process.stdout or () if line.startswith("{")]
            process.wait(120)
        return [line for line in lines if line["step"] not in ("endpoints", "subscribed")]


def install_node_opcua(folder: Path) -> NodeOpcUa:
    """Install the client from npm below a folder, once.

    Raises:
        RuntimeError: there is no node or npm, or npm cannot install it.
    """
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise RuntimeError(f"no {program}: install Debian's nodejs and npm")
    modules = folder / "node_modules"
    if not modules.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        # Beside its place at first: what a broken installation leaves behind is never taken for a whole one.
        with tempfile.TemporaryDirectory(dir=folder) as partial:
            command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", partial, PACKAGE]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise RuntimeError(f"npm cannot install {PACKAGE}: {done.stderr[-300:]}")
            try:
                (Path(partial) / "node_modules").rename(modules)
            except OSError:
                if not modules.is_dir():  # else somebody else has installed it meanwhile
                    raise
    return NodeOpcUa(modules=modules)


class Authority:
    """A certificate authority of a plant, which signs and revokes certificates of clients."""

    def __init__(self, name: str) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = _certificate(self._subject, self._key, 30 * _DAY, ca=True)
        self.certificate = made.sign(self._key, hashes.SHA256())

    def client(self, name: str, folder: Path | None = None) -> x509.Certificate:
        """A client's certificate; with a folder, ``NAME.pem`` and ``NAME.key.pem`` are written there."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = _certificate(subject, key, 20 * _DAY, issuer=self.certificate).sign(self._key, hashes.SHA256())
        if folder is not None:
            _write(folder, name, made, key)
        return made

    def revoked(self, *clients: x509.Certificate) -> x509.CertificateRevocationList:
        """A list, for a day, of clients that are revoked."""
        now = dt.datetime.now(dt.UTC)
        made = x509.CertificateRevocationListBuilder().issuer_name(self._subject)
        made = made.last_update(now).next_update(now + _DAY)
        for client in clients:
            entry = x509.RevokedCertificateBuilder().serial_number(client.serial_number).revocation_date(now)
            made = made.add_revoked_certificate(entry.build())
        return made.sign(self._key, hashes.SHA256())


def client_certificate(folder: Path, name: str, *, valid: dt.timedelta = _DAY) -> tuple[Path, Path]:
    """Write ``NAME.pem`` and ``NAME.key.pem`` of a client; ``valid`` counts from now, also back."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return _write(folder, name, _certificate(subject, key, valid).sign(key, hashes.SHA256()), key)


def _certificate(
    subject: x509.Name,
    key: rsa.RSAPrivateKey,
    valid: dt.timedelta,
    *,
    issuer: x509.Certificate | None = None,
    ca: bool = False,
) -> x509.CertificateBuilder:
    """A certificate to be signed; by itself where there is no issuer."""
    now = dt.datetime.now(dt.UTC)
    usage = dict.fromkeys(("key_agreement", "encipher_only", "decipher_only"), False)
    usage |= dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_cert_sign"),
        True,
    )
    signer = key.public_key() if issuer is None else issuer.public_key()
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 10 * _DAY)
        .not_valid_after(now + valid)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)  # type: ignore[arg-type]
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage, crl_sign=ca), critical=True)
    )
    if ca:
        return made
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(CLIENT_URI)])
    kinds = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    return made.add_extension(kinds, critical=False).add_extension(names, critical=False)


def _write(folder: Path, name: str, made: x509.Certificate, key: rsa.RSAPrivateKey) -> tuple[Path, Path]:
    files = folder / f"{name}.pem", folder / f"{name}.key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return files
