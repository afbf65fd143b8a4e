"""Recorded parts on disk: the Real-IAD layout, or one folder per part with one image per view."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edgeflow.errors import DataError

__all__ = ["IMAGE_SUFFIXES", "RecordedPart", "find_parts"]

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
NORMAL = "OK"
_CAMERA = re.compile(r"_(C\d+)_")


@dataclass(frozen=True, kw_only=True)
class RecordedPart:
    """The image files of one part.

    Attributes:
        images: view → file, views in natural order.
        masks: view → defect mask file, or None where the view is normal; empty without ground truth.
        label: ``OK`` or the defect's name; None where unknown.
        split: ``train`` or ``test``; None where the layout has none.
    """

    part_id: str
    images: Mapping[str, Path]
    masks: Mapping[str, Path | None]
    label: str | None
    split: Literal["train", "test"] | None

    @property
    def defective(self) -> bool | None:
        """Whether any view is defective; None where unknown."""
        return None if self.label is None else self.label != NORMAL


def find_parts(
    root: Path, *, class_name: str | None = None, views: Iterable[str] | None = None
) -> tuple[RecordedPart, ...]:
    """Find all recorded parts below a folder.

    Args:
        class_name: which class of a Real-IAD folder that holds several.
        views: the views that every part must have; without it, all parts must have the same ones.

    Raises:
        DataError: no parts, several classes to choose from, malformed JSON, or parts with missing
            or doubled views; every such part is named.
    """
    problems: list[str] = []
    jsons = root / "realiad_jsons"
    try:
        if not root.is_dir():
            raise DataError(f"{root}: no such folder; give the folder that holds the recorded parts")
        if jsons.is_dir():
            parts = _real_iad(root, _choose_class(jsons, class_name), problems)
        else:
            parts = _folder_per_part(root, problems)
    except OSError as cause:
        raise DataError(
            f"{cause.filename or root}: cannot be read: {cause.strerror}; check its rights"
        ) from cause
    if not parts and not problems:
        raise DataError(
            f"{root}: holds no parts; expected realiad_jsons/<class>.json, "
            "or one folder per part with one image per view, named after the view"
        )
    wanted = tuple(views) if views is not None else _common_views(parts)
    for part in parts:
        problems += _view_problems(part, wanted)
        extra = [view for view in part.images if view not in wanted] if views is None else []
        if extra:
            problems.append(f"part {part.part_id}: view {', '.join(extra)}, which most parts have not")
    if problems:
        raise DataError(f"{root}: {len(problems)} problem(s) with its parts", problems=problems)
    return tuple(parts)


def _choose_class(folder: Path, class_name: str | None) -> Path:
    found = sorted(folder.glob("*.json"))
    names = ", ".join(path.stem for path in found) or "none"
    if class_name is not None:
        path = folder / f"{class_name}.json"
        if path not in found:
            raise DataError(f"{folder}: no class '{class_name}'; found: {names}")
        return path
    if len(found) != 1:
        what = (
            f"{len(found)} classes, choose one by name; found: {names}" if found else "no <class>.json in it"
        )
        raise DataError(f"{folder}: {what}")
    return found[0]


def _real_iad(root: Path, path: Path, problems: list[str]) -> list[RecordedPart]:
    try:
        document = json.loads(path.read_bytes())
        meta, normal = document["meta"], str(document["meta"]["normal_class"])
        base = root / str(meta["prefix"])
        groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for split in ("train", "test"):
            for entry in document[split]:
                groups[split, str(Path(entry["image_path"]).parent)].append(entry)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as cause:
        why = f"key {cause} is missing" if isinstance(cause, KeyError) else cause
        raise DataError(
            f"{path}: not a Real-IAD description: {why}; see the data set's JSON files"
        ) from cause
    parts = []
    for (split, folder), entries in groups.items():
        images: dict[str, Path] = {}
        masks: dict[str, Path | None] = {}
        labels: set[str] = set()
        for entry in entries:
            match = _CAMERA.search(Path(entry["image_path"]).name)
            if match is None:
                problems.append(f"{entry['image_path']}: no camera number (_C1_) in the file name")
                continue
            view = match.group(1)
            if view in images:
                problems.append(f"part {folder}: view {view} is there twice")
            images[view] = base / entry["image_path"]
            label = str(entry.get("anomaly_class", normal))
            labels |= {label} - {normal}
            mask = entry.get("mask_path")
            masks[view] = base / str(mask) if mask and label != normal else None
        parts.append(
            RecordedPart(
                part_id=folder,
                images=dict(sorted(images.items(), key=lambda item: _natural(item[0]))),
                masks=masks,
                label=next(iter(sorted(labels)), NORMAL),
                split="train" if split == "train" else "test",
            )
        )
    return parts


def _folder_per_part(root: Path, problems: list[str]) -> list[RecordedPart]:
    parts = []
    for folder in sorted((path for path in root.iterdir() if path.is_dir()), key=lambda p: _natural(p.name)):
        images: dict[str, Path] = {}
        for file in sorted(folder.iterdir(), key=lambda path: _natural(path.stem)):
            if file.suffix.lower() not in IMAGE_SUFFIXES:
                continue
            if file.stem in images:
                problems.append(f"part {folder.name}: view {file.stem} is there twice")
            images[file.stem] = file
        if images:
            parts.append(RecordedPart(part_id=folder.name, images=images, masks={}, label=None, split=None))
    return parts


def _common_views(parts: list[RecordedPart]) -> tuple[str, ...]:
    """The views that most parts have; of equally frequent ones the first part's."""
    counts: dict[tuple[str, ...], int] = defaultdict(int)
    for part in parts:
        counts[tuple(part.images)] += 1
    return max(counts, key=lambda views: counts[views]) if counts else ()


def _view_problems(part: RecordedPart, wanted: tuple[str, ...]) -> list[str]:
    problems = []
    missing = [view for view in wanted if view not in part.images]
    if missing:
        problems.append(f"part {part.part_id}: missing view {', '.join(missing)}")
    problems += [
        f"part {part.part_id}: {view}: no such file {file}"
        for view, file in part.images.items()
        if view in wanted and not file.is_file()
    ]
    return problems


def _natural(text: str) -> list[tuple[int, str]]:
    return [(int(run), "") if run.isdecimal() else (-1, run) for run in re.split(r"(\d+)", text) if run]
