"""Recorded parts on disk, in any known layout: found whole, or every broken one named."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edgeflow.contracts.datasets.annotated.coco_json import cvat_files
from edgeflow.contracts.datasets.layouts import (
    LAYOUTS,
    PartsRequest,
    Remarks,
    expected_layouts,
    layout_of,
)
from edgeflow.contracts.datasets.part_folders import unusable_view_names
from edgeflow.contracts.datasets.recorded_part import IMAGE_SUFFIXES, RecordedPart
from edgeflow.errors import DataError

__all__ = ["IMAGE_SUFFIXES", "FoundParts", "RecordedPart", "find_parts", "look_for_parts"]


@dataclass(frozen=True, kw_only=True)
class FoundParts:
    """The parts below a folder, whole or not.

    Attributes:
        layout: its name, see ``LAYOUTS``; None where the folder has none.
        problems: a sentence for everything because of which the parts cannot be used.
        notes: sentences about what was concluded or left out.
    """

    layout: str | None
    parts: tuple[RecordedPart, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def find_parts(
    root: Path,
    *,
    class_name: str | None = None,
    views: Iterable[str] | None = None,
    incomplete: bool = False,
    layout: str | None = None,
    split: str | None = None,
) -> tuple[RecordedPart, ...]:
    """Find all recorded parts below a folder.

    It is laid out as one of ``LAYOUTS``: as a published data set, as an export of an annotation tool, or with
    one folder per part that holds one image per view, named after the view; such folders may be sorted by
    split and label, see :func:`~edgeflow.contracts.datasets.labelled_folders.labelled_parts`. A box's
    evidence, of one day or of all, is such folders too; its overlays are no views.

    Args:
        class_name: which class of a folder that holds several.
        views: the views that every part must have; without it, all parts must have the same ones.
        incomplete: parts may lack views or files.
        layout: name of the layout; None: as the folder shows.
        split: name of a table that splits the parts, where a data set has several.

    Raises:
        DataError: no parts, several classes to choose from, malformed JSON, or parts with missing
            or doubled views; every such part is named.
    """
    request = PartsRequest(
        class_name=class_name, views=tuple(views) if views is not None else None, split=split
    )
    found = look_for_parts(root, request, layout=layout, incomplete=incomplete)
    if not found.parts and not found.problems:
        raise DataError(
            f"{root}: holds no parts; lay them out in one of these ways, 'edgeflow data inspect' says more",
            problems=expected_layouts(),
        )
    if found.problems:
        raise DataError(
            f"{root}: {len(found.problems)} problem(s) with its parts; repair these or take them out",
            problems=found.problems,
        )
    return found.parts


def look_for_parts(
    root: Path, request: PartsRequest, *, layout: str | None = None, incomplete: bool = False
) -> FoundParts:
    """The parts below a folder, with all that is wrong with them.

    Args:
        layout: name of the layout; None: as the folder shows.
        incomplete: parts may lack views or files.

    Raises:
        DataError: no such folder or layout, several classes to choose from, or malformed descriptions.
    """
    remarks = Remarks()
    try:
        if not root.is_dir():
            raise DataError(f"{root}: no such folder; give the folder that holds the recorded parts")
        name = _named(layout, root) if layout is not None else layout_of(root)
        if request.split is not None and name != "visa":
            raise DataError(
                f"{root}: data.split: {request.split} names a table of VisA, and this is another layout; "
                "leave it out"
            )
        parts = LAYOUTS[name].read(root, request, remarks) if name is not None else []
        if parts and name == "part_folders" and layout is None:
            _require_not_cvat(root)
    except OSError as cause:
        raise DataError(
            f"{cause.filename or root}: cannot be read: {cause.strerror}; check its rights"
        ) from cause
    problems = [*remarks.problems, *_problems_of(parts, request.views, incomplete=incomplete)]
    return FoundParts(layout=name, parts=tuple(parts), problems=tuple(problems), notes=tuple(remarks.notes))


def _require_not_cvat(root: Path) -> None:
    """Refuse images beside CVAT's own annotations: without these, defects would count as normal.

    Raises:
        DataError: there is such a file.
    """
    files = cvat_files(root)
    if files:
        raise DataError(
            f"{files[0]}: is CVAT's own format, which is not read; export the task as 'COCO 1.0', with "
            "images, which holds the same masks (data.layout: part_folders reads the images without them)"
        )


def _named(layout: str, root: Path) -> str:
    if layout not in LAYOUTS:
        raise DataError(f"no layout '{layout}'; known are {', '.join(LAYOUTS)}")
    if not LAYOUTS[layout].may_be_read(root):
        raise DataError(
            f"{root}: is not laid out as {LAYOUTS[layout].title} ({LAYOUTS[layout].mark}); choose another "
            "data.layout, or leave it out"
        )
    return layout


def _problems_of(parts: list[RecordedPart], views: tuple[str, ...] | None, *, incomplete: bool) -> list[str]:
    problems: list[str] = []
    if views is None:
        problems += unusable_view_names(parts)
    wanted = _common_views(parts) if views is None else views
    for part in parts:
        problems += [] if incomplete else _view_problems(part, wanted)
        extra = [view for view in part.images if view not in wanted] if views is None else []
        if extra:
            problems.append(f"part {part.part_id}: view {', '.join(extra)}, which most parts have not")
    return problems


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
