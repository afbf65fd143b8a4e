"""Access to the OPC UA server: the channel's own certificate, the user's password, and the role."""

from __future__ import annotations

from pathlib import Path

import pytest
from asyncua import ua
from asyncua.common.utils import ServiceError
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from edgeflow.opcua.clients.access import Access, may
from edgeflow.opcua.clients.trust_list import TrustList, trust_refused
from edgeflow.security.users import Users, add_user, remove_user
from simulators.opcua_client import client_certificate

GOOD, WRONG = "long enough", "wrong enough"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return client_certificate(tmp_path_factory.mktemp("client"), "plc")[0]


def der(file: Path) -> bytes:
    return x509.load_pem_x509_certificate(file.read_bytes()).public_bytes(Encoding.DER)


def access(folder: Path, client: Path, *, anonymous: bool = False) -> Access:
    users = folder / "users.json"
    add_user(users, "vera", "viewer", GOOD)
    add_user(users, "olga", "operator", GOOD)
    trust_refused(folder, str(client))
    return Access(users=Users(users), trust=TrustList(folder), anonymous=anonymous)


def refusal(error: pytest.ExceptionInfo[ServiceError]) -> int:
    return int(error.value.code)


def test_a_user_may_what_its_role_allows_until_it_is_removed(tmp_path: Path, client: Path) -> None:
    doors = access(tmp_path, client)
    vera, olga = (doors.get_user(None, name, GOOD, der(client)) for name in ("vera", "olga"))
    assert may(vera, "viewer")
    assert not may(vera, "operator")
    assert may(olga, "operator")
    assert not may(olga, "engineer")
    assert not may(None, "viewer")
    assert doors.get_user(None, "olga", GOOD, der(client)) == olga
    remove_user(tmp_path / "users.json", "olga")
    assert doors.get_user(None, "olga", GOOD, der(client)) is None
    add_user(tmp_path / "users.json", "vera", "viewer", "another password")
    assert doors.get_user(None, "vera", GOOD, der(client)) is None


def test_after_five_wrong_passwords_even_the_right_one_has_to_wait(tmp_path: Path, client: Path) -> None:
    doors = access(tmp_path, client)
    for _ in range(5):
        assert doors.get_user(None, "vera", WRONG, der(client)) is None
    with pytest.raises(ServiceError) as error:
        doors.get_user(None, "vera", GOOD, der(client))
    assert refusal(error) == ua.StatusCodes.BadTooManyOperations


def test_the_certificate_of_the_channel_counts_whatever_a_client_says(tmp_path: Path, client: Path) -> None:
    """A client may send a trusted certificate as its own on a channel that it opened with another one."""
    doors = access(tmp_path, client)
    other = client_certificate(tmp_path, "other")[0]
    with pytest.raises(ServiceError) as error:
        doors.get_user(None, "olga", GOOD, der(other))
    assert refusal(error) == ua.StatusCodes.BadCertificateUntrusted
    with pytest.raises(ServiceError) as error:
        doors.get_user(None, "olga", GOOD, None)
    assert refusal(error) == ua.StatusCodes.BadSecurityPolicyRejected


def test_without_a_user_a_client_reads_only_where_that_is_wanted(tmp_path: Path, client: Path) -> None:
    assert access(tmp_path, client).get_user(None, certificate=der(client)) is None
    reader = access(tmp_path, client, anonymous=True).get_user(None, certificate=der(client))
    assert may(reader, "viewer")
    assert not may(reader, "operator")
