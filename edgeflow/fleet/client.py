"""A box's view of the repository: metadata verified by TUF, the roll-out document, bundles on the disk."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tuf.api._payload import TargetFile
from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.ngclient.config import UpdaterConfig
from tuf.ngclient.updater import Updater

from edgeflow.config.updates.fleet import FleetConfig
from edgeflow.errors import EdgeflowError, IntegrityError, StorageError, UsageError
from edgeflow.fleet.box_files.publication import (
    MOST_BYTES,
    BoxFilePublication,
    parse_publication,
    target_of,
)
from edgeflow.fleet.fetch import RepositoryFetcher, repository_url
from edgeflow.fleet.rollout import ROLLOUT, Release, Rollout, parse_rollout

__all__ = ["FleetClient", "Followed"]

_MOST_METADATA = 1_000_000
_CLOCK_SLACK = timedelta(days=1)
_SPARE_BYTES = 64_000_000
_ABSENT = (403, 404)
_REFUSED: dict[type[Exception] | tuple[type[Exception], ...], str] = {
    ExpiredMetadataError: "its metadata has expired ({cause}): the repository stands still, or this box's "
    "clock is wrong; run 'edgeflow fleet refresh' there, and check the clock here",
    BadVersionNumberError: "older than what this box has trusted before ({cause}): an old copy, or somebody "
    "takes it back; publish from the present one",
    UnsignedMetadataError: "not signed by enough of the trusted keys ({cause}); if keys were replaced, every "
    "root in between has to be there",
    (DownloadLengthMismatchError, LengthOrHashMismatchError): "files that do not belong together ({cause}): "
    "half uploaded, or mixed by somebody; upload it again, metadata/timestamp.json last",
    RepositoryError: "damaged: {cause}; upload it again",
}


@dataclass(frozen=True, kw_only=True)
class Followed:
    """The repository at one moment, verified."""

    rollout: Rollout
    version: int


class FleetClient:
    """Looks at the repository; whatever it says is verified before it counts.

    Args:
        folder: of metadata that was trusted before; what was newer than the repository is never forgotten.
        turn: called before each chunk of a download; raises where it is to end.
    """

    def __init__(self, config: FleetConfig, folder: Path, turn: Callable[[], None] = lambda: None) -> None:
        self._config, self._folder, self._turn = config, folder, turn
        self._updater: Updater | None = None

    def look(self, now: datetime) -> Followed:
        """Return the roll-out as it is now.

        Args:
            now: aware, UTC.

        Raises:
            IntegrityError: what the repository says cannot be trusted; the text says what to do.
            StorageError: it cannot be reached, is only half there, or this disk cannot be written.
            UsageError, DataError: the section ``fleet`` or the roll-out document cannot be used.
        """
        self._updater = None
        try:
            updater = self._opened()
            updater.refresh()
            target = updater.get_targetinfo(ROLLOUT)
            if target is None:
                raise IntegrityError(f"{self._config.repository}: has no {ROLLOUT}; publish it anew")
            data = b"".join(self._chunks(target, 0, _MOST_METADATA))
            target.verify_length_and_hashes(data)
        except (RepositoryError, DownloadError, OSError) as cause:
            raise self._error(cause) from cause
        self._updater = updater
        rollout = parse_rollout(data)
        _require_clock(rollout, now)
        trusted = json.loads((self._folder / "metadata" / "timestamp.json").read_bytes())
        return Followed(rollout=rollout, version=int(trusted["signed"]["version"]))

    def box_file(self, station: str) -> BoxFilePublication | None:
        """Return what the repository has for a station, as it was looked at last; None: nothing.

        Raises:
            DataError: it cannot be read.
        """
        target = self._box_file_target(station)
        return None if target is None else parse_publication(target.custom)

    def read_box_file(self, station: str) -> bytes:
        """Return a station's file, verified.

        Raises:
            IntegrityError: it is not what was signed, or larger than a box file may be.
            StorageError: it cannot be fetched.
        """
        try:
            target = self._box_file_target(station)
            if target is None:
                raise StorageError("the repository was not looked at")
            data = b"".join(self._chunks(target, 0, MOST_BYTES))
            target.verify_length_and_hashes(data)
        except (RepositoryError, DownloadError, OSError) as cause:
            raise self._error(cause) from cause
        return data

    def _box_file_target(self, station: str) -> TargetFile | None:
        return None if self._updater is None else self._updater.get_targetinfo(target_of(station))

    def download(self, release: Release, path: Path) -> None:
        """Bring a bundle to a path, whole; what an earlier try has brought is not fetched again.

        Raises:
            IntegrityError: it is not what was signed, or larger than allowed.
            StorageError: it cannot be fetched, or this disk cannot be written.
        """
        if self._updater is None:
            raise StorageError("the repository was not looked at")
        partial = path.with_name(f".{path.name}.part")
        try:
            target = self._updater.get_targetinfo(release.target)
            if target is None:
                raise IntegrityError(f"{release.target}: the repository does not list it; publish it anew")
            self._require_room(target, path)
            self._fill(target, partial)
            with partial.open("r+b") as file:
                os.fsync(file.fileno())
            partial.replace(path)
        except (RepositoryError, DownloadError, OSError) as cause:
            raise self._error(cause) from cause

    def _fill(self, target: TargetFile, partial: Path) -> None:
        """Bring the rest of a file; one that is wrong is removed, and fetched anew the next time."""
        begun = partial.stat().st_size if partial.exists() else 0
        if begun > target.length:
            partial.unlink()
            begun = 0
        with partial.open("ab") as file:
            if begun < target.length:
                for chunk in self._chunks(target, begun, target.length):
                    file.write(chunk)
        try:
            with partial.open("rb") as file:
                target.verify_length_and_hashes(file)
        except LengthOrHashMismatchError:
            partial.unlink(missing_ok=True)
            raise

    def _chunks(self, target: TargetFile, begun: int, most: int) -> Iterator[bytes]:
        """Yield a target's bytes; more than its length, or than ``most``, is refused."""
        folder, slash, name = target.path.rpartition("/")
        hashed = f"{folder}{slash}{next(iter(target.hashes.values()))}.{name}"
        received = begun
        for chunk in self._fetcher().rest(f"{self._url()}/targets/{hashed}", begun):
            received += len(chunk)
            if received > min(target.length, most):
                raise DownloadLengthMismatchError(
                    f"{target.path}: more than {min(target.length, most)} bytes"
                )
            yield chunk

    def _require_room(self, target: TargetFile, path: Path) -> None:
        if target.length > self._config.max_mb * 1e6:
            raise IntegrityError(
                f"{target.path}: {target.length / 1e6:.0f} MB, and fleet.max_mb is {self._config.max_mb:g}"
            )
        free = shutil.disk_usage(path.parent).free
        if free < target.length + _SPARE_BYTES:
            raise StorageError(
                f"{path.parent}: {free / 1e6:.0f} MB free, the bundle has {target.length / 1e6:.0f}"
            )

    def _opened(self) -> Updater:
        """The updater of this look; the first root comes with the box's installation."""
        metadata = self._folder / "metadata"
        metadata.mkdir(parents=True, exist_ok=True)
        try:
            root = self._config.root.read_bytes()
        except OSError as cause:
            raise UsageError(f"fleet.root {self._config.root}: cannot be read: {cause.strerror}") from cause
        return Updater(
            metadata_dir=str(metadata),
            metadata_base_url=f"{self._url()}/metadata",
            fetcher=self._fetcher(),
            config=UpdaterConfig(snapshot_max_length=_MOST_METADATA, targets_max_length=_MOST_METADATA),
            bootstrap=root,
        )

    def _fetcher(self) -> RepositoryFetcher:
        return RepositoryFetcher(ca=self._config.ca, rate_kb_s=self._config.rate_kb_s, turn=self._turn)

    def _url(self) -> str:
        return repository_url(self._config.repository)

    def _error(self, cause: Exception) -> EdgeflowError:
        """The error in words: what is wrong, and what to do."""
        where = self._config.repository
        for kinds, words in _REFUSED.items():
            if isinstance(cause, kinds):
                return IntegrityError(f"{where}: {words.format(cause=cause)}")
        if isinstance(cause, DownloadHTTPError) and cause.status_code in _ABSENT:
            return StorageError(f"{where}: not whole: {cause}; uploaded by half, or another address")
        if isinstance(cause, DownloadError):
            return StorageError(f"{where}: cannot be fetched: {cause}; it is tried again")
        return StorageError(f"{self._folder}: cannot be written: {cause}; check space and rights")


def _require_clock(rollout: Rollout, now: datetime) -> None:
    """Refuse to judge expiry by a clock that is behind what is signed."""
    latest = max((one.published_at for one in rollout.releases), default=None)
    if latest is None:
        return
    published = datetime.fromisoformat(latest).astimezone(UTC)
    if now < published - _CLOCK_SLACK:
        raise IntegrityError(
            f"this box's clock says {now.isoformat(timespec='seconds')}, and a release is of {latest}: with "
            "a clock that far behind, nobody can tell a repository that stands still; set the clock"
        )
