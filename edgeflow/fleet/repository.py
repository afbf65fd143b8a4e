"""The publisher's side of a repository: bundles added, promoted from group to group, and revoked."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tuf.api._payload import TargetFile

from edgeflow.bundles.bundle import Bundle
from edgeflow.config.box import load_config
from edgeflow.contracts.message_parts.fleet_status import FleetStatus
from edgeflow.errors import IntegrityError, StorageError, UsageError
from edgeflow.files import replace_atomically
from edgeflow.fleet.box_files.publication import (
    MOST_BYTES,
    BoxFilePublication,
    parse_publication,
    station_name,
    target_of,
)
from edgeflow.fleet.metadata import EXPIRES, Keys, MetadataFolder
from edgeflow.fleet.rollout import (
    ROLLOUT,
    Bounds,
    Group,
    Release,
    Rollout,
    parse_rollout,
    promotion_problems,
)

__all__ = ["FleetRepository"]


@dataclass(frozen=True, kw_only=True)
class FleetRepository:
    """A folder of static files: ``metadata/`` and ``targets/``; one change at a time.

    Attributes:
        now: aware, UTC.
    """

    path: Path
    now: datetime

    def create(self, keys: Keys, groups: Sequence[Group]) -> None:
        """Make keys and an empty repository.

        Raises:
            UsageError: there is one already, or no group, or one twice.
            StorageError: a folder cannot be written.
        """
        names = [group.name for group in groups]
        if not names or len(set(names)) != len(names):
            raise UsageError("give each group of boxes once, in the order of promotion: --group canary:1 …")
        with self._alone():
            self._metadata.create(keys)
            self._write(Rollout(groups=tuple(groups)), {}, keys)

    def publish(self, bundle: Path, bounds: Bounds, keys: Keys) -> Release:
        """Add a bundle as a release of the first group.

        Raises:
            UsageError: no such bundle, or its version is published already.
            IntegrityError: it is damaged, or not signed.
            StorageError: the repository cannot be written.
        """
        with self._alone():
            rollout = self.rollout()
            with Bundle.open(bundle) as opened:
                manifest, sha256 = opened.manifest, opened.sha256
                if opened.signature is None:
                    raise IntegrityError(
                        f"{bundle}: not signed; 'edgeflow keys sign' does that, and boxes know who made it"
                    )
            if sha256 in rollout.revoked:
                raise UsageError(f"{bundle}: was revoked; publish another version")
            name = f"{_plain(manifest.name)}-{manifest.version}-{sha256[:8]}"
            if any(one.id == name for one in rollout.releases):
                raise UsageError(f"{name}: published already; 'edgeflow fleet status' shows where it is")
            target = f"bundles/{name}.bundle"
            release = Release(
                id=name,
                target=target,
                name=manifest.name,
                version=manifest.version,
                sha256=sha256,
                groups=(rollout.groups[0].name,),
                bounds=bounds,
                published_at=self.now.isoformat(timespec="seconds"),
            )
            after = rollout.model_copy(update={"releases": (*rollout.releases, release)})
            self._write(after, {target: bundle}, keys)
        return release

    def publish_boxes(
        self, boxes: Sequence[Path], bounds: Mapping[str, Any], keys: Keys
    ) -> list[BoxFilePublication]:
        """Give stations their box files, each a whole file for the station that it names.

        Args:
            bounds: as the fields of ``BoxFilePublication``.

        Raises:
            UsageError: a file is none, names no fleet, or two are for one station; nothing is published then.
            StorageError: the repository cannot be written.
        """
        parts, undecided = bounds.get("parts", 50), bounds.get("undecided", 5)
        if undecided >= parts:
            raise UsageError(f"{undecided} of {parts} parts may be UNDECIDED: then no box ever goes back")
        made = {path: self._publication(path, bounds) for path in boxes}
        if len({one.station for one in made.values()}) < len(boxes):
            raise UsageError(
                "two of these files are for one station",
                problems=sorted(f"{p}: {o.station}" for p, o in made.items()),
            )
        with self._alone():
            targets = {target_of(one.station): path for path, one in made.items()}
            custom = {target_of(one.station): one.model_dump(mode="json") for one in made.values()}
            self._write(self.rollout(), targets, keys, custom=custom)
        return list(made.values())

    def box_files(self) -> list[BoxFilePublication]:
        """Return the latest box file of each station that has one here."""
        return [
            parse_publication(target.custom)
            for path, target in self._metadata.targets().items()
            if path.startswith("boxes/")
        ]

    def _publication(self, path: Path, bounds: Mapping[str, Any]) -> BoxFilePublication:
        config = load_config(path)
        if config.fleet is None:
            raise UsageError(
                f"{path}: has no section 'fleet', so its station would leave the fleet for ever; add the "
                "section as the station has it now"
            )
        data = path.read_bytes()
        if len(data) > MOST_BYTES:
            raise UsageError(f"{path}: {len(data)} bytes; a box file has at most {MOST_BYTES}")
        sha256 = hashlib.sha256(data).hexdigest()
        return BoxFilePublication(
            id=f"box-{self.now:%Y%m%dT%H%M%SZ}-{sha256[:8]}",
            station=station_name(config),
            sha256=sha256,
            **bounds,
        )

    def promote(
        self,
        name: str,
        to: str,
        statuses: Sequence[FleetStatus],
        keys: Keys,
        *,
        although_paused: bool = False,
        although_unproven: str = "",
    ) -> Release:
        """Give a release to the next group, once the ones before have reported success.

        Args:
            although_unproven: why no comparison in the shadow is asked for; it is kept with the release.

        Raises:
            UsageError: no such release or group, or it may not have it yet; says every reason.
            StorageError: the repository cannot be written.
        """
        with self._alone():
            rollout = self.rollout()
            release = rollout.release(name)
            problems = promotion_problems(
                rollout,
                release,
                to,
                statuses,
                although_paused=although_paused,
                although_unproven=bool(although_unproven),
            )
            if problems:
                raise UsageError(f"{release.id} is not given to group '{to}'", problems=problems)
            groups = tuple(dict.fromkeys([*release.groups, to]))
            unproven = [*release.unproven, f"{to}: {although_unproven}"] if although_unproven else ()
            after = {"groups": groups, "unproven": tuple(dict.fromkeys([*release.unproven, *unproven]))}
            return self._replace(rollout, release.model_copy(update=after), keys)

    def revoke(self, name: str, keys: Keys) -> Release:
        """Take a release back from all groups: boxes that run it go back to the bundle before.

        Raises:
            UsageError: no such release.
            StorageError: the repository cannot be written.
        """
        with self._alone():
            rollout = self.rollout()
            release = rollout.release(name).model_copy(update={"revoked": True})
            revoked = tuple(dict.fromkeys([*rollout.revoked, release.sha256]))
            return self._replace(rollout.model_copy(update={"revoked": revoked}), release, keys)

    def refresh(self, keys: Keys, *, root: bool = False) -> dict[str, datetime]:
        """Renew what expires soon; boxes take a repository that nobody renews for one that stands still.

        Args:
            root: the root, too, which needs its keys.

        Raises:
            UsageError: keys are missing.
            StorageError: the repository cannot be written.
        """
        with self._alone():
            if root:
                self._metadata.renew_root(keys)
            late = self.now + EXPIRES["targets"] / 2
            targets = self._metadata.targets() if self._metadata.expiry()["targets"] < late else None
            self._metadata.write(targets, keys)
            return self._metadata.expiry()

    def rotate(self, role: str, keys: Keys, *, lost: str | None = None) -> None:
        """Replace a role's key; as :meth:`MetadataFolder.rotate`."""
        with self._alone():
            self._metadata.rotate(role, keys, lost=lost)

    def rollout(self) -> Rollout:
        """Return the roll-out as it is published.

        Raises:
            UsageError: no repository.
            IntegrityError: a file is missing or damaged.
        """
        self._metadata.root()
        target = self._metadata.targets().get(ROLLOUT)
        if target is None:
            raise IntegrityError(f"{self.path}: holds no {ROLLOUT}; restore it from a backup")
        path = self._place(target)
        try:
            data = path.read_bytes()
        except OSError as cause:
            raise IntegrityError(f"{path}: cannot be read: {cause.strerror}; restore it") from cause
        if hashlib.sha256(data).hexdigest() != target.hashes["sha256"]:
            raise IntegrityError(f"{path}: not what was signed; restore it from a backup")
        return parse_rollout(data)

    def expiry(self) -> dict[str, datetime]:
        """Return role → time at which its metadata expires."""
        return self._metadata.expiry()

    def _replace(self, rollout: Rollout, release: Release, keys: Keys) -> Release:
        releases = tuple(release if one.id == release.id else one for one in rollout.releases)
        self._write(rollout.model_copy(update={"releases": releases}), {}, keys)
        return release

    def _write(
        self,
        rollout: Rollout,
        files: Mapping[str, Path],
        keys: Keys,
        *,
        custom: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Targets first, then the metadata that names them: a reader finds the old state or the new one."""
        targets = self._metadata.targets()
        for path, source in files.items():
            targets[path] = TargetFile.from_file(path, str(source), ["sha256"])
            if custom is not None:
                targets[path].unrecognized_fields["custom"] = dict(custom[path])
            self._put(targets[path], source)
        data = rollout.model_dump_json(by_alias=True, indent=1).encode()
        targets[ROLLOUT] = TargetFile.from_data(ROLLOUT, data, ["sha256"])
        self._put(targets[ROLLOUT], data)
        self._metadata.write(targets, keys)

    def _put(self, target: TargetFile, content: Path | bytes) -> None:
        path = self._place(target)
        try:
            with replace_atomically(path) as file:
                if isinstance(content, bytes):
                    file.write(content)
                else:
                    with content.open("rb") as source:
                        shutil.copyfileobj(source, file)
            os.chmod(path, 0o644)  # noqa: PTH101 - for the web server
        except OSError as cause:
            raise StorageError(f"{path}: cannot be written: {cause.strerror}; make room") from cause

    def _place(self, target: TargetFile) -> Path:
        folder, _, name = target.path.rpartition("/")
        return self.path / "targets" / folder / f"{target.hashes['sha256']}.{name}"

    @property
    def _metadata(self) -> MetadataFolder:
        return MetadataFolder(path=self.path / "metadata", now=self.now)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with (self.path / ".lock").open("w") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as cause:
                    raise UsageError(f"{self.path}: somebody publishes there; wait for that") from cause
                yield
        except OSError as cause:
            raise StorageError(f"{self.path}: cannot be written: {cause.strerror}") from cause


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", name)[:80]
