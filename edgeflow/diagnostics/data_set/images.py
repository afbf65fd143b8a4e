"""Image files of recorded parts: sizes, depths and orientation of views, and files that cannot be read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from edgeflow.contracts.datasets.recorded_part import RecordedPart
from edgeflow.contracts.image_files.header import ImageHeader
from edgeflow.contracts.image_files.orientation import UPRIGHT
from edgeflow.contracts.images import image_header, read_image
from edgeflow.diagnostics.data_set.progress import Progress
from edgeflow.diagnostics.findings import Finding, failed, listed, warning
from edgeflow.errors import DataError

__all__ = ["ImagesSeen", "ViewSummary", "look_at_images", "sizes_text"]

_READERS = 8
_AT_ONCE = 256
_SHOWN_SIZES = 4


@dataclass(frozen=True, kw_only=True)
class ViewSummary:
    """One view of all parts.

    Attributes:
        parts: number of parts that have it.
        sizes: ``1280x1024`` (width, height) → number of images; the place of the view, where several share a
            file.
        bits: room for one channel's values in bits → number of images.
    """

    view: str
    parts: int
    sizes: Mapping[str, int]
    bits: Mapping[int, int]


@dataclass(frozen=True, kw_only=True)
class ImagesSeen:
    """Headers of all image files that could be read, and what is odd about them."""

    headers: Mapping[Path, ImageHeader]
    views: tuple[ViewSummary, ...]
    findings: tuple[Finding, ...]


def look_at_images(parts: Sequence[RecordedPart], *, decode: bool, progress: Progress) -> ImagesSeen:
    """Read the header of every image file.

    Args:
        decode: decode the pixels too, which finds files that end too early.
    """
    files = list(dict.fromkeys(file for part in parts for file in part.images.values()))
    headers: dict[Path, ImageHeader] = {}
    broken: list[str] = []
    for file, seen in progress(_each(files, decode=decode), "images", len(files)):
        if isinstance(seen, ImageHeader):
            headers[file] = seen
        elif file.is_file():  # a missing file is a problem of its part already
            broken.append(seen)
    views = _views(parts, headers)
    return ImagesSeen(
        headers=headers,
        views=views,
        findings=(
            *listed(broken, "images", failed),
            *_size_findings(views),
            *_depth_findings(headers),
            *_orientation_findings(headers),
        ),
    )


def sizes_text(sizes: Mapping[str, int]) -> str:
    """Sizes with their counts, the most frequent first."""
    ranked = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
    if len(ranked) == 1:
        return ranked[0][0]
    text = ", ".join(f"{size} ({count})" for size, count in ranked[:_SHOWN_SIZES])
    return text + (f", {len(ranked) - _SHOWN_SIZES} more" if len(ranked) > _SHOWN_SIZES else "")


def _each(files: Sequence[Path], *, decode: bool) -> Iterator[tuple[Path, ImageHeader | str]]:
    """Each file with its header, or with the reason why it cannot be used."""
    look: Callable[[Path], ImageHeader | str] = _decoded if decode else _header
    with ThreadPoolExecutor(_READERS) as pool:
        for start in range(0, len(files), _AT_ONCE):
            some = files[start : start + _AT_ONCE]
            yield from zip(some, pool.map(look, some), strict=True)


def _header(file: Path) -> ImageHeader | str:
    try:
        return image_header(file)
    except DataError as cause:
        return cause.message


def _decoded(file: Path) -> ImageHeader | str:
    try:
        header = image_header(file)
        read_image(file)
    except DataError as cause:
        return cause.message
    return header


def _views(parts: Iterable[RecordedPart], headers: Mapping[Path, ImageHeader]) -> tuple[ViewSummary, ...]:
    counts: Counter[str] = Counter()
    sizes: dict[str, Counter[str]] = defaultdict(Counter)
    bits: dict[str, Counter[int]] = defaultdict(Counter)
    for part in parts:
        for view, file in part.images.items():
            counts[view] += 1
            header = headers.get(file)
            if header is None:
                continue
            width, height = part.crops[view][2:] if view in part.crops else (header.width, header.height)
            sizes[view][f"{width}x{height}"] += 1
            bits[view][header.stated_bits if header.is_deep and header.stated_bits else header.bits] += 1
    return tuple(
        ViewSummary(view=view, parts=counts[view], sizes=dict(sizes[view]), bits=dict(bits[view]))
        for view in counts
    )


def _size_findings(views: Iterable[ViewSummary]) -> Iterator[Finding]:
    for view in views:
        if len(view.sizes) > 1:
            yield warning(
                "sizes",
                f"view {view.view} has images of several sizes: {sizes_text(view.sizes)}; all are brought to "
                "the model's size, so that one and the same defect looks different",
            )


def _depth_findings(headers: Mapping[Path, ImageHeader]) -> Iterator[Finding]:
    groups: dict[tuple[int, int | None], list[Path]] = defaultdict(list)
    for file, header in headers.items():
        groups[header.bits, header.stated_bits if header.is_deep else None].append(file)
    if len(groups) > 1:
        members = ", ".join(
            f"{len(files)} with {stated or room} bits such as {files[0]}"
            for (room, stated), files in sorted(groups.items(), key=lambda item: -len(item[1]))
        )
        yield failed(
            "depths",
            f"images are of different depth: {members}; convert them to one depth, or declare image.bits "
            "where only the files' own statements differ",
        )


def _orientation_findings(headers: Mapping[Path, ImageHeader]) -> Iterator[Finding]:
    turned = [file for file, header in headers.items() if header.orientation != UPRIGHT]
    if turned:
        yield warning(
            "orientation",
            f"{len(turned)} images are turned as their files say, such as {turned[0]}; a box's camera gives "
            "its pictures as they are: check that both stand the same way",
        )
