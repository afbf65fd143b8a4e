"""A box file in its place, the one before beside it, and a trial of one before it gets there."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from edgeflow.config.box import BoxConfig, load_config
from edgeflow.errors import IntegrityError, StorageError
from edgeflow.files import replace_atomically
from edgeflow.fleet.box_files.publication import differences

__all__ = ["BoxFilePlace"]

_CHECK_S = 300.0


@dataclass(frozen=True, kw_only=True)
class BoxFilePlace:
    """The box file of this computer.

    Attributes:
        path: as the box is started with it; a link leads to the file that is exchanged.
        overrides: settings of the command line.
    """

    path: Path
    overrides: tuple[str, ...] = ()

    @property
    def file(self) -> Path:
        """The file itself."""
        return self.path.resolve()

    @property
    def staged(self) -> Path:
        """The place of a file before its trial: relative paths in it mean what they will mean."""
        return self.file.with_name(f".{self.file.stem}.fleet.yaml")

    @property
    def previous(self) -> Path:
        """The place of the file before."""
        return self.file.with_name(f"{self.file.name}.previous")

    def present(self) -> str:
        """Return the SHA-256 of the file in its place.

        Raises:
            StorageError: it cannot be read.
        """
        return _sha256(self._read(self.file))

    def stage(self, data: bytes) -> None:
        """Keep a file for its trial.

        Raises:
            StorageError: this user may not write beside the box file; says what to do.
        """
        self._write(self.staged, data)

    def problems(self, config: BoxConfig) -> list[str]:
        """Return every reason why the staged file may not take the place of the present one.

        Args:
            config: the present one.

        Raises:
            ConfigError: it is no box file.
        """
        found = differences(config, load_config(self.staged, self.overrides))
        if found:
            return found
        failures = self._checked(self.staged)
        if not failures:
            return []
        already = set(self._checked(self.file))  # what fails without it as well says nothing against it
        return [failure for failure in failures if failure not in already]

    def put(self, sha256: str, previous: str) -> None:
        """Keep the present file as the one before, and give its place to the staged one.

        Raises:
            IntegrityError: the staged file is another one by now.
            StorageError: the disk cannot be written; the present file stays.
        """
        data, present = self._read(self.staged), self._read(self.file)
        if _sha256(data) != sha256 or _sha256(present) != previous:
            raise IntegrityError(f"{self.staged}: is not the file that was checked; publish it again")
        self._write(self.previous, present)
        self._write(self.file, data)

    def put_back(self, previous: str) -> None:
        """Give its place back to the file before.

        Raises:
            StorageError: it is not there any more, or the disk cannot be written.
        """
        data = self._read(self.previous)
        if _sha256(data) != previous:
            raise StorageError(f"{self.previous}: is not the file before; put the right one in place by hand")
        self._write(self.file, data)

    def _checked(self, file: Path) -> list[str]:
        """Return the faults that ``edgeflow check`` finds, in a process of its own: it loads libraries."""
        words = [word for override in self.overrides for word in ("--set", override)]
        paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        try:
            done = subprocess.run(  # noqa: S603 - a command of this program
                [sys.executable, "-m", "edgeflow.cli", "check", str(file), *words, "--json"],
                capture_output=True, text=True, timeout=_CHECK_S, check=False,
                env={**os.environ, "PYTHONPATH": paths, "PYTHONSAFEPATH": "1"},
            )  # fmt: skip
            findings = json.loads(done.stdout)["findings"]
        except subprocess.TimeoutExpired:
            return [f"'edgeflow check' did not end within {_CHECK_S:g} s"]
        except (ValueError, KeyError):
            return [f"'edgeflow check' cannot look at it: {done.stderr.strip()[-300:]}"]
        return [f"{one['name']}: {one['text']}" for one in findings if one["state"] == "failed"]

    def _read(self, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as cause:
            raise StorageError(f"{path}: cannot be read: {cause.strerror}; check its rights") from cause

    def _write(self, path: Path, data: bytes) -> None:
        try:
            mode = self.file.stat().st_mode & 0o777
            with replace_atomically(path) as file:
                os.fchmod(file.fileno(), mode)
                file.write(data)
        except OSError as cause:
            raise StorageError(
                f"{path}: cannot be written: {cause.strerror}; a fleet's box files need a folder of the "
                "agent's user, to which the box file is a link; see docs/how-to/fleet.md"
            ) from cause


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
