"""TUF metadata of a repository's folder: made, signed with key files, renewed, and given other keys."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from securesystemslib.exceptions import StorageError as SslibStorageError
from securesystemslib.signer._crypto_signer import CryptoSigner
from securesystemslib.signer._key import SSlibKey
from tuf.api._payload import MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata

from edgeflow.errors import IntegrityError, StorageError, UsageError
from edgeflow.files import replace_atomically
from edgeflow.security.keys import new_key, read_private_key

__all__ = ["EXPIRES", "ROLES", "ROOT_KEYS", "ROOT_THRESHOLD", "Keys", "MetadataFolder"]

ROLES = ("root", "targets", "snapshot", "timestamp")
EXPIRES = {
    "root": timedelta(days=730),
    "targets": timedelta(days=365),
    "snapshot": timedelta(days=60),
    "timestamp": timedelta(days=14),
}
ROOT_KEYS, ROOT_THRESHOLD = 3, 2
_SUFFIX = ".key.pem"


class Keys:
    """Private keys in a folder, by their TUF key id; names of files are for people.

    Raises:
        UsageError: a file cannot be read, or its passphrase is wrong.
    """

    def __init__(self, folder: Path, passphrase: bytes | None) -> None:
        self.folder, self._passphrase = folder, passphrase
        if not folder.is_dir():
            raise UsageError(f"{folder}: no such folder of keys")
        self._signers: dict[str, CryptoSigner] = {}
        for file in sorted(folder.glob(f"*{_SUFFIX}")):
            private = read_private_key(file, passphrase)
            signer = CryptoSigner(private, SSlibKey.from_crypto(private.public_key()))
            self._signers[signer.public_key.keyid] = signer

    def make(self, name: str) -> SSlibKey:
        """Make a key pair of a name, or of the next free one, and return its public half.

        Raises:
            StorageError: the folder cannot be written.
        """
        number, free = 1, name
        while (self.folder / f"{free}{_SUFFIX}").exists():
            number += 1
            free = f"{name}-{number}"
        pair = new_key(self.folder / free, self._passphrase)
        private = read_private_key(pair.private, self._passphrase)
        signer = CryptoSigner(private, SSlibKey.from_crypto(private.public_key()))
        self._signers[signer.public_key.keyid] = signer
        return signer.public_key

    def of(self, key_ids: Iterable[str]) -> list[CryptoSigner]:
        """Return the signers that this folder has of some keys."""
        return [self._signers[key_id] for key_id in key_ids if key_id in self._signers]


@dataclass(frozen=True, kw_only=True)
class MetadataFolder:
    """``metadata/`` of a repository: consistent snapshots, ``timestamp.json`` last.

    Attributes:
        now: aware, UTC; expiry counts from it.
    """

    path: Path
    now: datetime

    def create(self, keys: Keys) -> None:
        """Make the first root with new keys; the other roles follow with :meth:`write`.

        Raises:
            UsageError: there is a repository already.
            StorageError: a folder cannot be written.
        """
        if any(self.path.glob("*.json")):
            raise UsageError(f"{self.path.parent}: is a repository already; see 'edgeflow fleet publish'")
        root = Root(version=1, expires=self._expiry("root"), consistent_snapshot=True)
        for number in range(1, ROOT_KEYS + 1):
            root.add_key(keys.make(f"root-{number}"), "root")
        root.roles["root"].threshold = ROOT_THRESHOLD
        for role in ROLES[1:]:
            root.add_key(keys.make(role), role)
        self._save_root(Metadata(root), keys, old=root)

    def write(self, targets: Mapping[str, TargetFile] | None, keys: Keys, *, snapshot: bool = True) -> None:
        """Write targets, snapshot and timestamp, in this order, each with the next version.

        Args:
            targets: all of them; None: they stay as they are.
            snapshot: False: only the timestamp is renewed.

        Raises:
            UsageError: keys are missing.
            IntegrityError: the present metadata cannot be read.
            StorageError: the folder cannot be written.
        """
        root = self.root().signed
        if targets is not None:
            signed = Targets(
                version=self._next("targets"), expires=self._expiry("targets"), targets=dict(targets)
            )
            self._save(Metadata(signed), "targets", root, keys)
        if targets is not None or snapshot:
            meta = {"targets.json": MetaFile(version=self._next("targets") - 1)}
            made = Snapshot(version=self._next("snapshot"), expires=self._expiry("snapshot"), meta=meta)
            self._save(Metadata(made), "snapshot", root, keys)
        stamp = Timestamp(
            version=self._timestamp_version() + 1,
            expires=self._expiry("timestamp"),
            snapshot_meta=MetaFile(version=self._next("snapshot") - 1),
        )
        self._save(Metadata(stamp), "timestamp", root, keys)

    def rotate(self, role: str, keys: Keys, *, lost: str | None = None) -> None:
        """Replace a role's key by a new one; of the root, the one that is named or the first.

        Args:
            lost: beginning of the id of the root key to replace.

        Raises:
            UsageError: too few root keys are here, or no such key.
            IntegrityError, StorageError: as :meth:`write`.
        """
        before = self.root()
        old = before.signed
        after = Metadata.from_bytes(before.to_bytes()).signed
        leaving = [one for one in after.roles[role].keyids if lost is None or one.startswith(lost)]
        if not leaving:
            known = ", ".join(after.roles[role].keyids)
            raise UsageError(f"{lost}: no key of role '{role}'; there are: {known}")
        self._require(keys, old, "root")
        after.add_key(keys.make(role if role != "root" else "root-new"), role)
        after.revoke_key(leaving[0], role)
        after.version += 1
        after.expires = self._expiry("root")
        self._save_root(Metadata(after), keys, old=old)
        targets = self.targets() if role == "targets" else None
        self.write(targets, keys)

    def renew_root(self, keys: Keys) -> None:
        """Give the root another two years, with the same keys."""
        before = self.root().signed
        after = Metadata.from_bytes(self.root().to_bytes()).signed
        after.version += 1
        after.expires = self._expiry("root")
        self._save_root(Metadata(after), keys, old=before)

    def root(self) -> Metadata[Root]:
        """Return the latest root.

        Raises:
            UsageError: no repository.
            IntegrityError: it cannot be read.
        """
        version = self._latest("root")
        if not version:
            raise UsageError(f"{self.path.parent}: no repository; make one with 'edgeflow fleet init'")
        return self._read(f"{version}.root.json")

    def targets(self) -> dict[str, TargetFile]:
        """Return the latest targets; empty before the first ones."""
        version = self._latest("targets")
        if not version:
            return {}
        signed = self._read(f"{version}.targets.json").signed
        return dict(signed.targets)

    def expiry(self) -> dict[str, datetime]:
        """Return role → time at which its metadata expires."""
        names = {role: f"{self._latest(role)}.{role}.json" for role in ROLES[:3]}
        names["timestamp"] = "timestamp.json"
        return {role: self._read(name).signed.expires for role, name in names.items()}

    def _read(self, name: str) -> Metadata:  # type: ignore[type-arg]
        try:
            return Metadata.from_file(str(self.path / name))
        except (RepositoryError, SslibStorageError, ValueError, KeyError) as cause:
            raise IntegrityError(f"{self.path / name}: cannot be read: {cause}; restore it") from cause

    def _save_root(self, root: Metadata[Root], keys: Keys, *, old: Root) -> None:
        """Sign with enough keys of the root before and of this one, so that boxes follow."""
        for one in (old, root.signed):
            self._require(keys, one, "root")
        wanted = dict.fromkeys([*old.roles["root"].keyids, *root.signed.roles["root"].keyids])
        self._sign(root, keys.of(wanted))
        self._put(f"{root.signed.version}.root.json", root)
        self._put("root.json", root)

    def _save(self, metadata: Metadata, role: str, root: Root, keys: Keys) -> None:  # type: ignore[type-arg]
        self._require(keys, root, role)
        self._sign(metadata, keys.of(root.roles[role].keyids))
        name = "timestamp.json" if role == "timestamp" else f"{metadata.signed.version}.{role}.json"
        self._put(name, metadata)

    @staticmethod
    def _sign(metadata: Metadata, signers: Iterable[CryptoSigner]) -> None:  # type: ignore[type-arg]
        metadata.signatures.clear()
        for signer in signers:
            metadata.sign(signer, append=True)

    def _require(self, keys: Keys, root: Root, role: str) -> None:
        wanted = root.roles[role]
        found = len(keys.of(wanted.keyids))
        if found < wanted.threshold:
            raise UsageError(
                f"{keys.folder}: holds {found} of the {wanted.threshold} keys of role '{role}' that are "
                f"needed (ids: {', '.join(one[:16] for one in wanted.keyids)}); bring the folder that "
                "'edgeflow fleet init' made, or its part with these keys"
            )

    def _put(self, name: str, metadata: Metadata) -> None:  # type: ignore[type-arg]
        try:
            with replace_atomically(self.path / name) as file:
                file.write(metadata.to_bytes())
            os.chmod(self.path / name, 0o644)  # noqa: PTH101 - for the web server
        except OSError as cause:
            raise StorageError(f"{self.path / name}: cannot be written: {cause.strerror}") from cause

    def _expiry(self, role: str) -> datetime:
        return (self.now + EXPIRES[role]).replace(microsecond=0)

    def _latest(self, role: str) -> int:
        versions = [file.name.partition(".")[0] for file in self.path.glob(f"*.{role}.json")]
        return max((int(version) for version in versions if version.isdecimal()), default=0)

    def _next(self, role: str) -> int:
        return self._latest(role) + 1

    def _timestamp_version(self) -> int:
        if not (self.path / "timestamp.json").exists():
            return 0
        version: int = self._read("timestamp.json").signed.version
        return version
