"""The layout of Real-IAD D³ on disk: one camera under five lights, beside pseudo-3D and point clouds.

Source: *Real-IAD D³* (arXiv 2504.14221, realiad4ad.github.io/Real-IAD_D3), and public readers of its
``realiad_d3_jsons`` and ``realiad_d3_raw``. Pseudo-3D pictures (``PS``, computed from photometric stereo),
coordinate maps (``XYZ``) and point clouds (``PCD``) come from no camera of a box, and are not read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from pydantic import ConfigDict, Field, ValidationError
from pydantic_core import from_json

from edgeflow.contracts.datasets.published.image_folders import choose_class
from edgeflow.contracts.datasets.published.real_iad_json import RelativePath
from edgeflow.contracts.datasets.recorded_part import IMAGE_SUFFIXES, NORMAL, RecordedPart, Split, natural
from edgeflow.contracts.documents.document import Document
from edgeflow.contracts.documents.file_names import as_text, is_foreign
from edgeflow.contracts.documents.problems import problems_of
from edgeflow.errors import DataError

__all__ = ["is_real_iad_d3", "real_iad_d3_parts"]

_JSONS = "realiad_d3_jsons"
_RAW = "realiad_d3_raw"
_LIGHT = re.compile(r"_RGB_?L(\d{1,2})(?=[_.])")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_PROBED = 50


class _Published(Document):
    model_config = ConfigDict(extra="ignore")


class _Entry(_Published):
    """One part: the image under one light, and the mask of its defects."""

    anomaly_class: str
    image_path: RelativePath
    mask_path: RelativePath | None = None


class _Meta(_Published):
    normal_class: str = NORMAL
    prefix: RelativePath = ""


class _Description(_Published):
    """The parts of one class."""

    meta: _Meta = _Meta()
    train: list[_Entry]
    validation: list[_Entry] = Field(default=[])
    test: list[_Entry]


def is_real_iad_d3(root: Path) -> bool:
    """True if the descriptions lie in a folder, or beside its images."""
    return _jsons(root) is not None


def real_iad_d3_parts(
    root: Path, class_name: str | None, problems: list[str], notes: list[str]
) -> list[RecordedPart]:
    """The parts of one class, with one view per light: ``L01`` to ``L05``.

    A description names the image under one light; the others are beside it. The camera does not move, so
    that the one mask holds under every light. Defective parts that are there for validation are left out:
    what is trained here learns from normal parts, and they are no test parts either.

    Args:
        problems: gets a sentence for everything that is wrong with single parts.
        notes: gets a sentence for what is left out.

    Raises:
        DataError: no such class, several to choose from, or a malformed description.
    """
    jsons = _jsons(root)
    if jsons is None:
        raise DataError(f"{root}: no {_JSONS} in it; put the data set's descriptions there")
    found = {as_text(path.stem): path for path in sorted(jsons.glob("*.json")) if not is_foreign(path)}
    if not found:
        raise DataError(f"{jsons}: no <class>.json in it; put the data set's descriptions there")
    name, path = choose_class(jsons, found, class_name)
    document = _read(path)
    entries: list[tuple[Split, _Entry]] = [
        *(("train", entry) for entry in document.train),
        *(("validation", entry) for entry in document.validation),
        *(("test", entry) for entry in document.test),
    ]
    kept = [
        (split, entry)
        for split, entry in entries
        if split != "validation" or entry.anomaly_class == document.meta.normal_class
    ]
    if len(kept) < len(entries):
        notes.append(f"{len(entries) - len(kept)} defective part(s) of the validation split are left out")
    notes.append("pseudo-3D pictures (PS), coordinate maps (XYZ) and point clouds (PCD) are not read")
    base = _base(root, document.meta.prefix, name, [entry.image_path for _, entry in kept[:_PROBED]])
    folders = Counter(str(PurePosixPath(entry.image_path).parent) for _, entry in kept)
    return [
        _part(entry, split, base, name, document.meta.normal_class, folders, problems)
        for split, entry in kept
    ]


def _jsons(root: Path) -> Path | None:
    for base in (root, root.parent) if root.name == _RAW else (root,):
        folder = base / _JSONS
        if folder.is_dir():
            inner = folder / _JSONS
            return inner if inner.is_dir() and not any(folder.glob("*.json")) else folder
    return None


def _read(path: Path) -> _Description:
    try:
        return _Description.model_validate(from_json(path.read_bytes().removeprefix(_BYTE_ORDER_MARK)))
    except ValidationError as cause:
        raise DataError(
            f"{path}: not a Real-IAD D³ description; put the published file there, or repair these entries",
            problems=problems_of(cause, _Description, {}),
        ) from cause
    except ValueError as cause:
        raise DataError(
            f"{path}: not a Real-IAD D³ description: {cause}; the file is damaged or no JSON, get it again"
        ) from cause


def _base(root: Path, prefix: str, name: str, images: Iterable[str]) -> Path:
    """The folder that image paths start from: as unpacked with or without folders of the archives' names."""
    images = list(images)
    prefixes = dict.fromkeys((prefix, f"{name}/", f"{name}/{name}/", ""))
    bases = [folder / tail for folder in (root / _RAW, root) for tail in prefixes]
    return next((base for base in bases if any((base / image).is_file() for image in images)), bases[0])


def _part(
    entry: _Entry,
    split: Split,
    base: Path,
    class_name: str,
    normal: str,
    folders: Counter[str],
    problems: list[str],
) -> RecordedPart:
    path = PurePosixPath(entry.image_path)
    stem = _LIGHT.sub("", path.stem)
    part_id = str(path.parent) if folders[str(path.parent)] == 1 else str(path.parent / stem)
    images = _lights(base, path)
    if not images:
        problems.append(f"part {part_id}: {path.name}: no number of a light (_RGBL05_) in the file name")
        images = {"L01": base / path}
    defective = entry.anomaly_class != normal
    mask = base / entry.mask_path if entry.mask_path and defective else None
    return RecordedPart(
        part_id=as_text(part_id),
        images=images,
        masks=dict.fromkeys(images, mask),
        label=entry.anomaly_class if defective else NORMAL,
        split=split,
        class_name=class_name,
    )


def _lights(base: Path, path: PurePosixPath) -> dict[str, Path]:
    """View → file, of the image that is named and of those of the same part under other lights."""
    light = _LIGHT.search(path.name)
    if light is None:
        return {}
    start, suffix = path.name[: light.start()], path.suffix.lower()
    named = base / path
    found = {f"L{int(light[1]):02d}": named}
    if named.parent.is_dir():
        for file in named.parent.iterdir():
            other = _LIGHT.search(file.name)
            if other is None or is_foreign(file) or file.suffix.lower() not in IMAGE_SUFFIXES:
                continue
            if file.name[: other.start()] == start and file.suffix.lower() == suffix:
                found.setdefault(f"L{int(other[1]):02d}", file)
    return dict(sorted(found.items(), key=lambda item: natural(item[0])))
