"""Places that a defect's mask comes from: one file, several files, or shapes in an export of annotations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeflow.contracts.image_files.masks import Mask, read_mask
from edgeflow.contracts.images import image_size
from edgeflow.errors import DataError

__all__ = [
    "DefectMask",
    "MaskFiles",
    "MaskSource",
    "defect_mask_size",
    "missing_mask_files",
    "read_defect_mask",
]


class MaskSource(ABC):
    """A mask that is not one image file; ``str`` of it names it in errors."""

    @abstractmethod
    def read(self) -> Mask:
        """The mask, bool (H, W), True where defective.

        Raises:
            DataError: it cannot be read, or could mean two things.
        """

    @abstractmethod
    def size(self) -> tuple[int, int]:
        """Height and width in pixels, without decoding the mask.

        Raises:
            DataError: it cannot be told.
        """

    @property
    @abstractmethod
    def files(self) -> Sequence[Path]:
        """The files that it is read from."""


DefectMask = Path | MaskSource
"""Source of one view's mask; a path is one image file, see ``read_mask``."""


@dataclass(frozen=True)
class MaskFiles(MaskSource):
    """Several mask files of one image: a pixel is marked where any of them marks it."""

    paths: tuple[Path, ...]

    def __str__(self) -> str:
        return f"{self.paths[0]}" + (f" and {len(self.paths) - 1} more" if len(self.paths) > 1 else "")

    def read(self) -> Mask:
        """The union of all files, bool (H, W).

        Raises:
            DataError: one of them cannot be read, or they differ in size.
        """
        self.size()
        mask = read_mask(self.paths[0])
        for path in self.paths[1:]:
            mask = mask | read_mask(path)
        return mask

    def size(self) -> tuple[int, int]:
        """The size that all files have.

        Raises:
            DataError: they differ in size, or one of them cannot be read.
        """
        sizes = {path: image_size(path) for path in self.paths}
        if len(set(sizes.values())) > 1:
            listed = ", ".join(f"{path} {width}x{height}" for path, (height, width) in sizes.items())
            raise DataError(f"masks of one image differ in size: {listed}; export them at the image's size")
        return next(iter(sizes.values()))

    @property
    def files(self) -> Sequence[Path]:
        """All of them."""
        return self.paths


def read_defect_mask(mask: DefectMask) -> Mask:
    """One view's mask, bool (H, W), True where defective.

    Raises:
        DataError: it cannot be read, or could mean two things.
    """
    return read_mask(mask) if isinstance(mask, Path) else mask.read()


def defect_mask_size(mask: DefectMask) -> tuple[int, int]:
    """Height and width of a mask in pixels, from headers alone.

    Raises:
        DataError: it cannot be told.
    """
    return image_size(mask) if isinstance(mask, Path) else mask.size()


def missing_mask_files(mask: DefectMask) -> list[Path]:
    """The files of a mask that are not there."""
    files = [mask] if isinstance(mask, Path) else mask.files
    return [file for file in files if not file.is_file()]
