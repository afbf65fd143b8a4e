"""Depth and orientation of all image files of a data set: one for all, or every group named."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from edgeflow.contracts.image_files.bit_depth import DEEPEST, SHALLOWEST
from edgeflow.contracts.image_files.header import ImageHeader
from edgeflow.contracts.image_files.orientation import UPRIGHT
from edgeflow.contracts.images import brightest_value, image_header
from edgeflow.errors import DataError

__all__ = ["DataDepth", "data_depth", "require_filled_range"]

_READERS = 8
_SAMPLED = 32
_UNUSED_BITS = 2  # a data set that leaves so many upper bits unused has probably fewer of them


@dataclass(frozen=True, kw_only=True)
class DataDepth:
    """Properties that all image files of a data set share.

    Attributes:
        bits: significant bits of one channel, 8 to 16.
        deep: whether the files have room for more than 8.
        turned: whether a file is to be turned by what it says of itself; TIFF files do not count.
    """

    bits: int
    deep: bool
    turned: bool


def data_depth(files: Sequence[Path], *, declared: int | None, what: str) -> DataDepth:
    """The depth of a data set: the one declared, else the one that its files state, else their room.

    Files that cannot be read are left to whoever decodes them.

    Args:
        declared: ``image.bits`` of the recipe, or the bundle's.
        what: names the data set in errors.

    Raises:
        DataError: files of 8 and of more bits together, or files that state different depths.
    """
    groups: dict[tuple[int, int | None], list[Path]] = defaultdict(list)
    turned = False
    for file, header in _headers(files):
        stated = header.stated_bits if header.is_deep and declared is None else None
        room = header.bits if declared is None or not header.is_deep else DEEPEST
        groups[room, stated].append(file)
        turned = turned or (header.orientation != UPRIGHT and not header.turned_by_decoder)
    if len(groups) > 1:
        raise DataError(
            f"{what}: its images are of different depth, so that one and the same grey would mean different "
            "brightness; convert them to one depth, or declare image.bits where only the files' own "
            "statements differ",
            problems=[
                f"{len(members)} with {_described(*depth)}, such as {members[0]}"
                for depth, members in groups.items()
            ],
        )
    (room, stated), members = next(iter(groups.items()), ((SHALLOWEST, None), []))
    bits = declared or _significant(room, stated, members)
    return DataDepth(bits=bits, deep=room > SHALLOWEST, turned=turned)


def require_filled_range(views: Mapping[str, Iterable[Path]], bits: int, *, what: str, remedy: str) -> None:
    """Check that some value of every view uses the range of its bits.

    One camera may give another depth than the others, so each view is checked by itself. Files that cannot
    be read are left to whoever decodes them.

    Args:
        views: view → its image files.
        remedy: how to accept the data set as it is, by the name of the option.

    Raises:
        DataError: all values of a view are below a quarter of the range: probably the depth is another one.
    """
    least = 1 << (bits - _UNUSED_BITS)
    highest = {view: _highest(files, least) for view, files in views.items()}
    low = {view: value for view, value in highest.items() if value is not None and value < least}
    if not low:
        return
    reached = max(low.values())
    likely = max(SHALLOWEST, reached.bit_length() + reached.bit_length() % 2)
    asked = f"values up to {reached} of {2**bits - 1}: is this {likely}-bit data?"
    if len(low) == sum(value is not None for value in highest.values()):
        raise DataError(
            f"{what}: {asked} Then set image.bits: {likely} in the recipe; if the images are just dark, "
            f"{remedy}"
        )
    raise DataError(
        f"{what}: view {', '.join(low)}: {asked} Other views use the whole range, and one image.bits holds "
        f"for all: save the images of all cameras with one depth; if these are just dark, {remedy}"
    )


def _highest(files: Iterable[Path], enough: int) -> int | None:
    """The highest value, or the first that is enough; None where no file can be read."""
    highest: int | None = None
    for file in files:
        with contextlib.suppress(DataError):
            highest = max(highest or 0, brightest_value(file))
        if highest is not None and highest >= enough:
            return highest
    return highest


def _headers(files: Sequence[Path]) -> Iterable[tuple[Path, ImageHeader]]:
    with ThreadPoolExecutor(_READERS) as pool:
        for file, header in zip(files, pool.map(_header, files), strict=True):
            if header is not None:
                yield file, header


def _header(file: Path) -> ImageHeader | None:
    try:
        return image_header(file)
    except DataError:
        return None


def _significant(room: int, stated: int | None, files: Sequence[Path]) -> int:
    """Bits that files state, unless values are beyond: PNG's own rule is to shift them up to 16."""
    if stated is None or not SHALLOWEST <= stated < room:
        return room
    step = max(1, len(files) // _SAMPLED)
    shifted = any(brightest_value(file) >> stated for file in files[::step])
    return room if shifted else stated


def _described(room: int, stated: int | None) -> str:
    return f"{room} bits" if stated is None else f"{room} bits of which {stated} are significant"
