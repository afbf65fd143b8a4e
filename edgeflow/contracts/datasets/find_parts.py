"""Recorded parts on disk, in any known layout: found whole, or every broken one named."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from edgeflow.contracts.datasets.evidence_folders import day_folders
from edgeflow.contracts.datasets.labelled_folders import labelled_parts
from edgeflow.contracts.datasets.mvtec import mvtec_classes, mvtec_parts
from edgeflow.contracts.datasets.part_folders import folder_per_part, unusable_view_names
from edgeflow.contracts.datasets.real_iad import descriptions_of, real_iad_parts
from edgeflow.contracts.datasets.recorded_part import IMAGE_SUFFIXES, RecordedPart
from edgeflow.errors import DataError

__all__ = ["IMAGE_SUFFIXES", "RecordedPart", "find_parts"]


def find_parts(
    root: Path,
    *,
    class_name: str | None = None,
    views: Iterable[str] | None = None,
    incomplete: bool = False,
) -> tuple[RecordedPart, ...]:
    """Find all recorded parts below a folder.

    It is laid out as Real-IAD (``realiad_jsons/<class>.json``), as MVTec AD (``train/good``: one view,
    ``image``), or with one folder per part that holds one image per view, named after the view; such folders
    may be sorted by split and label, see
    :func:`~edgeflow.contracts.datasets.labelled_folders.labelled_parts`. A box's evidence, of one day or of
    all, is such folders too; its overlays are no views.

    Args:
        class_name: which class of a folder that holds several.
        views: the views that every part must have; without it, all parts must have the same ones.
        incomplete: parts may lack views or files.

    Raises:
        DataError: no parts, several classes to choose from, malformed JSON, or parts with missing
            or doubled views; every such part is named.
    """
    problems: list[str] = []
    named = tuple(views) if views is not None else None
    try:
        if not root.is_dir():
            raise DataError(f"{root}: no such folder; give the folder that holds the recorded parts")
        parts = _parts(root, class_name, named, problems)
    except OSError as cause:
        raise DataError(
            f"{cause.filename or root}: cannot be read: {cause.strerror}; check its rights"
        ) from cause
    if not parts and not problems:
        raise DataError(
            f"{root}: holds no parts; expected realiad_jsons/<class>.json, train/good/ with images, "
            "or one folder per part with one image per view, named after the view"
        )
    if named is None:
        problems += unusable_view_names(parts)
    wanted = _common_views(parts) if named is None else named
    for part in parts:
        problems += [] if incomplete else _view_problems(part, wanted)
        extra = [view for view in part.images if view not in wanted] if named is None else []
        if extra:
            problems.append(f"part {part.part_id}: view {', '.join(extra)}, which most parts have not")
    if problems:
        raise DataError(
            f"{root}: {len(problems)} problem(s) with its parts; repair these or take them out",
            problems=problems,
        )
    return tuple(parts)


def _parts(
    root: Path, class_name: str | None, views: tuple[str, ...] | None, problems: list[str]
) -> list[RecordedPart]:
    jsons = descriptions_of(root)
    if jsons is not None:
        return real_iad_parts(root, jsons, class_name, problems)
    labelled = labelled_parts(root, problems)
    if labelled is not None:
        return labelled
    classes = mvtec_classes(root)
    if classes:
        return mvtec_parts(root, classes, class_name, problems)
    parts = folder_per_part(root, views, problems)
    for day in day_folders(root):
        evidence = folder_per_part(day, views, problems)
        parts += [replace(part, part_id=f"{day.name}/{part.part_id}") for part in evidence]
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
