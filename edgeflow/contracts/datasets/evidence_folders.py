"""Evidence of a box as recorded parts: its images without the overlays, and the verdict in its record."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from edgeflow.contracts.datasets.recorded_part import IMAGE_SUFFIXES, NORMAL, RecordedPart, natural
from edgeflow.contracts.documents.file_names import as_text, is_foreign
from edgeflow.errors import DataError

__all__ = [
    "day_folders",
    "is_day",
    "is_overruled",
    "part_images",
    "part_views",
    "recorded_verdict",
    "require_good_evidence",
    "require_no_overruled",
]

_RECORD, _RESULT = "evidence.json", "result.json"
_MOST_BYTES = 4_000_000
_HEAT = "_heat"  # the overlay of a view: VIEW_heat.png beside VIEW.png
_MAPS = "maps.npz"  # beside the overlays that 'edgeflow score --maps' writes: VIEW.png
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_UNKNOWN = "otherwise than its record can tell"


def part_images(folder: Path) -> list[Path]:
    """The images of one part that cameras took, in natural order; none where there is no such folder.

    Raises:
        DataError: they are pictures of maps, as ``edgeflow score --maps`` writes them.
    """
    if not folder.is_dir():
        return []
    found = [
        file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and not is_foreign(file)
    ]
    if found and (folder / _MAPS).is_file():
        raise DataError(
            f"{folder}: holds heat maps that 'edgeflow score --maps' drew ({_MAPS} is beside them); give the "
            "folder of the parts that were scored"
        )
    if any((folder / name).is_file() for name in (_RECORD, _RESULT)):
        views = _view_ids(_document(folder / _RESULT))
        found = [file for file in found if file.stem in views or not file.stem.endswith(_HEAT)]
    return sorted(found, key=lambda path: natural(as_text(path.stem)))


def part_views(folder: Path, part_id: str, problems: list[str]) -> dict[str, Path]:
    """View → image of one part.

    Args:
        problems: gets a sentence for every view that is there twice.
    """
    images: dict[str, Path] = {}
    for file in part_images(folder):
        view = as_text(file.stem)
        if view in images:
            problems.append(f"part {part_id}: view {view} is there twice")
        images[view] = file
    return images


def recorded_verdict(folder: Path) -> str | None:
    """The verdict of the box whose evidence the folder is; None where it is no evidence."""
    records = [folder / name for name in (_RESULT, _RECORD)]
    if any(file.is_file() and not _document(file) for file in records):  # damaged: it may be any verdict
        return _UNKNOWN
    result = _document(folder / _RESULT)
    if str(result.get("schema")).startswith("edgeflow/result/"):
        verdict = result.get("verdict")
        return verdict if isinstance(verdict, str) else _UNKNOWN
    is_evidence = str(_document(folder / _RECORD).get("schema")).startswith("edgeflow/evidence/")
    return _UNKNOWN if is_evidence else None


def is_overruled(label: str | None, verdict: str | None) -> bool:
    """True if a person's label says that a part is good, and the box's verdict did not."""
    return label == NORMAL and verdict not in (None, NORMAL)


def is_day(folder: Path) -> bool:
    """True if a folder is named by a date, as evidence of one day is, and holds such evidence."""
    return bool(_DAY.fullmatch(folder.name)) and any(
        recorded_verdict(part) is not None for part in folder.iterdir() if part.is_dir()
    )


def day_folders(root: Path) -> list[Path]:
    """The days in a box's folder of evidence."""
    found = (path for path in root.iterdir() if path.is_dir() and not is_foreign(path) and is_day(path))
    return sorted(found, key=lambda path: path.name)


def require_good_evidence(parts: Iterable[RecordedPart]) -> None:
    """Check that no part that counts as normal is evidence of a rejected or undecided one.

    Raises:
        DataError: nobody has sorted such evidence by label; every part is named.
    """
    wrong = [
        f"part {part.part_id}: the box judged it {part.verdict}"
        for part in parts
        if part.verdict not in (None, NORMAL)
    ]
    if wrong:
        raise DataError(
            f"{len(wrong)} part(s) are evidence that the box did not judge {NORMAL}, and nobody has "
            "said that they are good; label them ('edgeflow evidence label'), sort them into folders by "
            "label (good/PART, DEFECT/PART), or take these out",
            problems=wrong,
        )


def require_no_overruled(parts: Iterable[RecordedPart]) -> None:
    """Check that no part is one that the box rejected and a person found good.

    Raises:
        DataError: there are such parts, each named: thresholds from them would lie too high.
    """
    overruled = [f"part {part.part_id}" for part in parts if part.overruled]
    if overruled:
        raise DataError(
            f"{len(overruled)} part(s) were not judged {NORMAL} by the box, and people found them good: the "
            "box keeps all of these and few of its other good parts, so that thresholds from them would lie "
            "too high; take them out, or record good parts as they come with 'edgeflow record'",
            problems=overruled,
        )


def _view_ids(result: Mapping[str, Any]) -> set[str]:
    views = result.get("views")
    if not isinstance(views, list):
        return set()
    return {str(view.get("id")) for view in views if isinstance(view, dict)}


def _document(path: Path) -> Mapping[str, Any]:
    """A small JSON object; empty where there is none."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            return {}
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
