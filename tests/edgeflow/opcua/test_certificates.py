"""Certificates of the OPC UA server and its clients: made once, trusted by a person, or refused."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from edgeflow.errors import UsageError
from edgeflow.opcua.clients.certificates import own_certificate
from edgeflow.opcua.clients.trust_list import TrustList, thumbprint, trust_refused
from simulators.opcua_client import Authority, client_certificate

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)
YEARS = dt.timedelta(days=366 * 10)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, x509.Certificate]:
    file, _ = client_certificate(tmp_path_factory.mktemp("client"), "plc-7")
    return file, x509.load_pem_x509_certificate(file.read_bytes())


def test_the_own_certificate_is_made_once_and_names_the_server(tmp_path: Path) -> None:
    own = own_certificate(tmp_path, "urn:edgeflow:box", ("box7", "192.168.1.7"), NOW)
    made = own.certificate.read_bytes()
    names = x509.load_der_x509_certificate(made).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.UniformResourceIdentifier) == ["urn:edgeflow:box"]
    assert names.value.get_values_for_type(x509.DNSName) == ["box7"]
    assert [str(address) for address in names.value.get_values_for_type(x509.IPAddress)] == ["192.168.1.7"]
    assert own.key.stat().st_mode & 0o077 == 0
    assert own_certificate(tmp_path, "urn:other", (), NOW).certificate.read_bytes() == made
    with pytest.raises(UsageError, match=r"ended on .*remove"):
        own_certificate(tmp_path, "urn:edgeflow:box", (), NOW + YEARS)


def test_a_client_is_refused_until_somebody_trusts_it(
    tmp_path: Path, client: tuple[Path, x509.Certificate]
) -> None:
    _, certificate = client
    trust = TrustList(tmp_path)
    assert trust.unfit(certificate, NOW) == "untrusted"
    kept = trust.keep_refused(certificate)
    assert kept is not None
    assert kept.name == f"plc-7-{thumbprint(certificate)}.der"
    with pytest.raises(UsageError, match=r"beginning of 0 refused thumbprints; known: plc-7-"):
        trust_refused(tmp_path, "FFFFFFFFFF")
    trust_refused(tmp_path, thumbprint(certificate)[:6].lower())
    assert not kept.exists()
    assert trust.unfit(certificate, NOW) is None
    assert trust.unfit(certificate, NOW + dt.timedelta(days=2)) == "ended"
    assert trust.unfit(certificate, NOW - dt.timedelta(days=20)) == "not yet"


def test_whoever_signs_for_nobody_makes_nobody_trusted(
    tmp_path: Path, client: tuple[Path, x509.Certificate]
) -> None:
    """A trusted client's certificate is no authority, and a file that is no certificate costs nothing."""
    file, certificate = client
    (tmp_path / "trusted").mkdir()
    (tmp_path / "trusted" / "notes.pem").write_text("-----no certificate")
    other = x509.load_pem_x509_certificate(client_certificate(tmp_path, "other")[0].read_bytes())
    trust_refused(tmp_path, str(file))
    assert TrustList(tmp_path).unfit(other, NOW) == "untrusted"
    assert TrustList(tmp_path).unfit(certificate, NOW) is None
    with pytest.raises(UsageError, match="is not a certificate"):
        trust_refused(tmp_path, str(tmp_path / "trusted" / "notes.pem"))


def test_a_client_that_its_authority_has_revoked_is_refused(tmp_path: Path) -> None:
    """The list counts once it lies there, if the trusted authority signed it, and also after its own end."""
    authority, other = Authority("plant"), Authority("plant")
    first, second = authority.client("first"), authority.client("second")
    trust = TrustList(tmp_path)
    for folder in ("trusted", "crl"):
        (tmp_path / folder).mkdir()
    (tmp_path / "trusted" / "plant.der").write_bytes(authority.certificate.public_bytes(Encoding.DER))
    (tmp_path / "trusted" / "first.der").write_bytes(first.public_bytes(Encoding.DER))
    assert [trust.unfit(one, NOW) for one in (first, second)] == [None, None]
    before = trust.state()
    (tmp_path / "crl" / "notes.crl").write_text("no list")
    (tmp_path / "crl" / "forged.crl").write_bytes(other.revoked(first).public_bytes(Encoding.DER))
    assert trust.unfit(first, NOW) is None
    (tmp_path / "crl" / "plant.crl").write_bytes(authority.revoked(first).public_bytes(Encoding.PEM))
    assert trust.state() != before
    assert [trust.unfit(one, NOW) for one in (first, second)] == ["revoked", None]
    assert [trust.unfit(one, NOW + 2 * DAY) for one in (first, second)] == ["revoked", None]


def test_a_list_of_revoked_clients_that_has_ended_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority("plant")
    client = authority.client("first")
    for folder in ("trusted", "crl"):
        (tmp_path / folder).mkdir()
    (tmp_path / "trusted" / "plant.der").write_bytes(authority.certificate.public_bytes(Encoding.DER))
    (tmp_path / "crl" / "plant.crl").write_bytes(authority.revoked().public_bytes(Encoding.DER))
    trust = TrustList(tmp_path)
    for _ in range(3):
        assert trust.unfit(client, NOW + 2 * DAY) is None
    assert caplog.text.count("the revocation list of 'CN=plant' ended on") == 1
