"""Certificates that a real handshake accepts, for the names and purposes that they were made for alone."""

from __future__ import annotations

import datetime as dt
import shutil
import socket
import ssl
import stat
import threading
from pathlib import Path

import pytest

from edgeflow.errors import UsageError
from edgeflow.security.certificates import open_authority
from tests.support.waiting import PATIENCE_S

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a server and a client."""
    made = tmp_path_factory.mktemp("plant") / "tls"
    authority, new = open_authority(made, NOW)
    assert new
    authority.issue(("broker", "localhost", "127.0.0.1"), server=True, now=NOW, days=30)
    authority.issue(("box-l3-s2",), server=False, now=NOW, days=30)
    return made


def handshake(folder: Path, *, server: str, client: str, name: str) -> str:
    """Common name of the client as the server sees it; both verify each other."""
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.pem"))
    serving.verify_mode = ssl.CERT_REQUIRED
    serving.load_cert_chain(folder / f"{server}.pem", folder / f"{server}.key")
    asking = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    asking.load_cert_chain(folder / f"{client}.pem", folder / f"{client}.key")
    seen: list[str] = []
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            with serving.wrap_socket(theirs, server_side=True) as connection:
                subject = connection.getpeercert()["subject"]  # type: ignore[index]
                seen.append(dict(pair[0] for pair in subject)["commonName"])  # type: ignore[index,misc]
                connection.sendall(b".")
        except (ssl.SSLError, OSError):
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with asking.wrap_socket(ours, server_hostname=name) as connection:
            assert connection.recv(1) == b"."
    finally:
        ours.close()
        thread.join(PATIENCE_S)
    return seen[0]


@pytest.mark.parametrize("name", ["broker", "localhost", "127.0.0.1"])
def test_server_and_client_know_each_other_by_every_name(folder: Path, name: str) -> None:
    assert handshake(folder, server="broker", client="box-l3-s2", name=name) == "box-l3-s2"


def test_another_name_is_refused(folder: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(folder, server="broker", client="box-l3-s2", name="other")


def test_a_client_cannot_pose_as_a_server(folder: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(folder, server="box-l3-s2", client="box-l3-s2", name="box-l3-s2")


def test_private_keys_are_for_their_owner_alone(folder: Path) -> None:
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    assert {mode for name, mode in modes.items() if name.endswith(".key")} == {0o600}
    assert {mode for name, mode in modes.items() if name.endswith(".pem")} == {0o644}


def test_the_authority_is_read_again_and_nothing_is_replaced(folder: Path) -> None:
    authority, new = open_authority(folder, NOW)
    assert not new
    with pytest.raises(UsageError, match="is there already"):
        authority.issue(("broker",), server=True, now=NOW, days=30)


@pytest.mark.parametrize("name", ["", "ca", "../x", "a b", "-x", "ü", "x" * 65])
def test_a_name_that_is_no_file_and_no_host_is_refused(folder: Path, name: str) -> None:
    authority, _ = open_authority(folder, NOW)
    before = sorted(folder.iterdir())
    with pytest.raises(UsageError):
        authority.issue((name,), server=True, now=NOW, days=30)
    assert sorted(folder.iterdir()) == before


def test_half_an_authority_and_one_that_has_ended_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has ended"):
        open_authority(folder, NOW + dt.timedelta(days=4000))
    shutil.copy(folder / "ca.pem", tmp_path)
    with pytest.raises(UsageError, match=r"ca\.key"):
        open_authority(tmp_path, NOW)
