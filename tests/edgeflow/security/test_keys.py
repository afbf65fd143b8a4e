"""Keys and signatures: made once, kept safe, the same bytes every time."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edgeflow.bundles.bundle import Bundle
from edgeflow.bundles.signing import sign_bundle
from edgeflow.errors import StorageError, UsageError
from edgeflow.security.keys import new_key, read_private_key, read_public_key, trusted_keys
from simulators.small_bundle import small_bundle


def test_new_key_signs_and_its_public_half_proves(tmp_path: Path) -> None:
    pair = new_key(tmp_path / "keys" / "line", None)
    key = read_private_key(pair.private, None)
    path = small_bundle(tmp_path / "b", signer=key)
    with Bundle.open(path, trusted=trusted_keys([pair.public])) as bundle:
        assert bundle.signature is not None
        assert bundle.signature.key_id == pair.id
    assert pair.private.stat().st_mode & 0o777 == 0o600
    assert [pair.private.name, pair.public.name] == ["line.key.pem", "line.pub.pem"]


@pytest.mark.parametrize("kept", ["line.key.pem", "line.pub.pem"])
def test_existing_key_is_never_overwritten(tmp_path: Path, kept: str) -> None:
    (tmp_path / kept).write_text("precious")
    with pytest.raises(UsageError, match="exists already"):
        new_key(tmp_path / "line", None)
    assert [file.name for file in tmp_path.iterdir()] == [kept]
    assert (tmp_path / kept).read_text() == "precious"


def test_passphrase_protects_the_private_key(tmp_path: Path) -> None:
    pair = new_key(tmp_path / "line", b"open sesame")
    assert read_private_key(pair.private, b"open sesame")
    with pytest.raises(UsageError, match="passphrase is wrong"):
        read_private_key(pair.private, b"open barley")
    with pytest.raises(UsageError, match="needs its passphrase"):
        read_private_key(pair.private, None)


def test_needless_passphrase_does_no_harm(tmp_path: Path) -> None:
    pair = new_key(tmp_path / "line", None)
    assert read_private_key(pair.private, b"from the environment")


def test_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (tmp_path / "key.pem").write_bytes(private)
    (tmp_path / "pub.pem").write_bytes(public)
    with pytest.raises(UsageError, match="not an Ed25519 key"):
        read_private_key(tmp_path / "key.pem", None)
    with pytest.raises(UsageError, match="not an Ed25519 key"):
        read_public_key(tmp_path / "pub.pem")


def test_signing_at_export_or_afterwards_gives_the_same_bytes(tmp_path: Path) -> None:
    key = read_private_key(new_key(tmp_path / "line", None).private, None)
    other = read_private_key(new_key(tmp_path / "other", None).private, None)
    first, second = small_bundle(tmp_path / "a", signer=key), small_bundle(tmp_path / "b", signer=key)
    afterwards = small_bundle(tmp_path / "c")
    with Bundle.open(afterwards) as bundle:
        before = bundle.sha256
    sign_bundle(afterwards, key)
    again = small_bundle(tmp_path / "d", signer=other)
    sign_bundle(again, key)
    assert first.read_bytes() == second.read_bytes() == afterwards.read_bytes() == again.read_bytes()
    with Bundle.open(afterwards) as bundle:
        assert bundle.sha256 == before


def test_signing_follows_a_link_and_keeps_it(tmp_path: Path) -> None:
    key = read_private_key(new_key(tmp_path / "line", None).private, None)
    target = small_bundle(tmp_path / "v3.bundle")
    link = tmp_path / "current.bundle"
    link.symlink_to(target)
    sign_bundle(link, key)
    assert link.is_symlink()
    with Bundle.open(target) as bundle:
        assert bundle.signature is not None


def test_bundle_is_kept_whole_where_signing_fails(tmp_path: Path) -> None:
    key = read_private_key(new_key(tmp_path / "line", None).private, None)
    path = small_bundle(tmp_path / "bundles" / "b")
    before = path.read_bytes()
    (tmp_path / "bundles" / "b.partial").mkdir()  # nothing can be written under this name
    with pytest.raises(StorageError, match="cannot be written"):
        sign_bundle(path, key)
    assert path.read_bytes() == before
