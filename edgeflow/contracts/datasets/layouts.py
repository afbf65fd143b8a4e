"""The table of all layouts of data sets: their names, what tells them apart, and their readers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgeflow.contracts.datasets.annotated.coco import coco_parts, is_coco_export
from edgeflow.contracts.datasets.evidence_folders import day_folders
from edgeflow.contracts.datasets.labelled_folders import are_labelled, labelled_parts
from edgeflow.contracts.datasets.part_folders import folder_per_part
from edgeflow.contracts.datasets.published.manta import could_be_manta, is_manta, manta_parts
from edgeflow.contracts.datasets.published.mvtec import mvtec_classes, mvtec_parts
from edgeflow.contracts.datasets.published.mvtec_ad_2 import mvtec_ad_2_classes, mvtec_ad_2_parts
from edgeflow.contracts.datasets.published.mvtec_loco import mvtec_loco_classes, mvtec_loco_parts
from edgeflow.contracts.datasets.published.real_iad import descriptions_of, real_iad_parts
from edgeflow.contracts.datasets.published.real_iad_d3 import is_real_iad_d3, real_iad_d3_parts
from edgeflow.contracts.datasets.published.visa import visa_classes, visa_parts
from edgeflow.contracts.datasets.recorded_part import RecordedPart

__all__ = ["LAYOUTS", "Layout", "PartsRequest", "Remarks", "expected_layouts", "layout_of"]


@dataclass(frozen=True, kw_only=True)
class PartsRequest:
    """The choice of parts from a folder, as a recipe's ``data`` says it.

    Attributes:
        class_name: which class of a folder that holds several.
        views: the views that are wanted; None: those that there are.
        split: name of a table that splits the parts, where a data set has several.
    """

    class_name: str | None = None
    views: tuple[str, ...] | None = None
    split: str | None = None


@dataclass(frozen=True)
class Remarks:
    """Sentences about the parts of a folder: what is wrong with them, and what was concluded or left out."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One layout.

    Attributes:
        title: its name for people.
        mark: files and folders by which it is known.
        matches: whether a folder has it without doubt, so that it is read without being named.
        read: the parts of a folder.
        possible: whether a folder could have it, if its user says so; default: as ``matches``.
    """

    title: str
    mark: str
    matches: Callable[[Path], bool]
    read: Callable[[Path, PartsRequest, Remarks], list[RecordedPart]]
    possible: Callable[[Path], bool] | None = None

    def may_be_read(self, root: Path) -> bool:
        """True if a folder has, or could have, this layout."""
        return (self.possible or self.matches)(root)


def layout_of(root: Path) -> str | None:
    """The layout that a folder is read with unless another is named; None where it has none.

    Raises:
        OSError: the folder cannot be read.
    """
    return next((name for name, layout in LAYOUTS.items() if layout.matches(root)), None)


def expected_layouts() -> list[str]:
    """All layouts with their marks, for an error of a folder that has none."""
    return [f"{layout.title} ({name}): {layout.mark}" for name, layout in LAYOUTS.items()]


def _real_iad(root: Path, request: PartsRequest, remarks: Remarks) -> list[RecordedPart]:
    jsons = descriptions_of(root)
    return real_iad_parts(root, jsons, request.class_name, remarks.problems) if jsons else []


def _part_folders(root: Path, request: PartsRequest, remarks: Remarks) -> list[RecordedPart]:
    parts = folder_per_part(root, request.views, remarks.problems)
    for day in day_folders(root):
        evidence = folder_per_part(day, request.views, remarks.problems)
        parts += [replace(part, part_id=f"{day.name}/{part.part_id}") for part in evidence]
    return parts


LAYOUTS: dict[str, Layout] = {
    "real_iad": Layout(
        title="Real-IAD",
        mark="realiad_jsons/CLASS.json",
        matches=lambda root: descriptions_of(root) is not None,
        read=_real_iad,
    ),
    "real_iad_d3": Layout(
        title="Real-IAD D³",
        mark="realiad_d3_jsons/CLASS.json",
        matches=is_real_iad_d3,
        read=lambda root, request, remarks: real_iad_d3_parts(
            root, request.class_name, remarks.problems, remarks.notes
        ),
    ),
    "visa": Layout(
        title="VisA",
        mark="OBJECT/Data/Images/Normal/, split_csv/1cls.csv",
        matches=lambda root: bool(visa_classes(root)),
        read=lambda root, request, remarks: visa_parts(
            root, request.class_name, request.split, remarks.problems, remarks.notes
        ),
    ),
    "mvtec_ad_2": Layout(
        title="MVTec AD 2",
        mark="CLASS/train/good/, CLASS/test_public/",
        matches=lambda root: bool(mvtec_ad_2_classes(root)),
        read=lambda root, request, remarks: mvtec_ad_2_parts(
            root, request.class_name, remarks.problems, remarks.notes
        ),
    ),
    "mvtec_loco": Layout(
        title="MVTec LOCO AD",
        mark="CLASS/train/good/, CLASS/ground_truth/KIND/IMAGE/000.png",
        matches=lambda root: bool(mvtec_loco_classes(root)),
        read=lambda root, request, remarks: mvtec_loco_parts(
            root, request.class_name, remarks.problems, remarks.notes
        ),
    ),
    "manta": Layout(
        title="MANTA",
        mark="DOMAIN/CLASS/train/good/ with pictures of five views side by side",
        matches=is_manta,
        read=lambda root, request, remarks: manta_parts(root, request.class_name, remarks.problems),
        possible=could_be_manta,
    ),
    "labelled_folders": Layout(
        title="part folders by label",
        mark="good/PART/VIEW.png and DEFECT/PART/VIEW.png, or these below test/",
        matches=are_labelled,
        read=lambda root, _request, remarks: labelled_parts(root, remarks.problems),
    ),
    "mvtec_ad": Layout(
        title="MVTec AD",
        mark="CLASS/train/good/ with images",
        matches=lambda root: bool(mvtec_classes(root)),
        read=lambda root, request, remarks: mvtec_parts(root, request.class_name, remarks.problems),
    ),
    "coco": Layout(
        title="COCO JSON of CVAT or Label Studio, or Label Studio's own JSON",
        mark="annotations/instances_SUBSET.json, result.json or Label Studio's JSON, beside images/",
        matches=is_coco_export,
        read=lambda root, request, remarks: coco_parts(root, request.views, remarks.problems, remarks.notes),
    ),
    "part_folders": Layout(
        title="one folder per part, or evidence of a box",
        mark="PART/VIEW.png",
        matches=lambda root: any(path.is_dir() for path in root.iterdir()),
        read=_part_folders,
    ),
}
"""Layouts in the order in which they are tried; the first that matches is read."""
