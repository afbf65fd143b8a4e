"""A folder of recorded parts: layout, counts, and everything that is odd about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from edgeflow.contracts.datasets.find_parts import FoundParts, look_for_parts
from edgeflow.contracts.datasets.layouts import LAYOUTS, PartsRequest, expected_layouts
from edgeflow.contracts.datasets.recorded_part import NORMAL, RecordedPart
from edgeflow.contracts.documents.file_names import as_text
from edgeflow.diagnostics.data_set.duplicates import duplicate_findings, name_findings
from edgeflow.diagnostics.data_set.hints import hints
from edgeflow.diagnostics.data_set.images import ViewSummary, look_at_images
from edgeflow.diagnostics.data_set.masks import MaskSummary, look_at_masks
from edgeflow.diagnostics.data_set.progress import SILENT, Progress
from edgeflow.diagnostics.data_set.recipe_block import DataBlock, data_block
from edgeflow.diagnostics.data_set.training_findings import training_findings
from edgeflow.diagnostics.findings import Finding, failed, listed, warning
from edgeflow.errors import DataError

__all__ = ["DataInspection", "InspectionChoices", "inspect_data"]

_LAST_RESORT = "part_folders"
_SPECIAL_FORMS = {"mvtec_ad": {"mvtec_ad_2", "mvtec_loco"}}
"""Layout → those that are it and more: where one of them is there, it is not another possibility."""


@dataclass(frozen=True, kw_only=True)
class InspectionChoices:
    """The choice of parts, as options of the command and keys of a recipe's ``data`` have it.

    Attributes:
        decode: decode every image; otherwise only headers are read.
    """

    class_name: str | None = None
    views: tuple[str, ...] | None = None
    layout: str | None = None
    split: str | None = None
    decode: bool = False


@dataclass(frozen=True, kw_only=True)
class DataInspection:
    """Content of a folder, and findings about it.

    Attributes:
        layout: its name in a recipe; ``title`` is for people.
        others: layouts that it could have as well, name → title.
        splits: number of parts by split; ``none`` where the layout has no splits.
        labels: number of parts by label; ``unknown`` where nobody has said.
        notes: what was concluded or left out while reading.
        findings: what is odd; ``failed`` is what training or evaluation would refuse.
    """

    root: Path
    layout: str
    title: str
    others: Mapping[str, str]
    class_name: str | None
    parts: int
    splits: Mapping[str, int]
    labels: Mapping[str, int]
    views: tuple[ViewSummary, ...]
    masks: MaskSummary
    notes: tuple[str, ...]
    findings: tuple[Finding, ...]
    block: DataBlock

    @property
    def ok(self) -> bool:
        """True if nothing was found that stops a training."""
        return all(finding.state != "failed" for finding in self.findings)


def inspect_data(
    root: Path, choices: InspectionChoices | None = None, *, progress: Progress = SILENT
) -> DataInspection:
    """Look at all parts of a folder; of images only headers are read, unless asked for more.

    Raises:
        DataError: no such folder, no parts in any known layout, or several classes to choose from.
    """
    chosen = choices or InspectionChoices()
    request = PartsRequest(class_name=chosen.class_name, views=chosen.views, split=chosen.split)
    found = look_for_parts(root, request, layout=chosen.layout)
    if found.layout is None or not found.parts:
        raise DataError(
            f"{root}: holds no parts in any layout that is known; lay them out in one of these ways",
            problems=[*hints(root), *found.problems, *expected_layouts()],
        )
    others = _others(root, request, found.layout) if chosen.layout is None else {}
    parts = found.parts
    images = look_at_images(parts, decode=chosen.decode, progress=progress)
    masks = look_at_masks(parts, images, progress=progress)
    findings = [
        *_ambiguity(others, found.layout),
        *listed(found.problems, "parts", failed),
        *images.findings,
        *masks.findings,
        *duplicate_findings(parts, progress=progress),
        *name_findings(parts),
        *training_findings(parts, images),
    ]
    return DataInspection(
        root=root,
        layout=found.layout,
        title=LAYOUTS[found.layout].title,
        others=others,
        class_name=parts[0].class_name,
        parts=len(parts),
        splits=_counts(part.split or "none" for part in parts),
        labels=_counts((part.label or "unknown" for part in parts), first=NORMAL),
        views=images.views,
        masks=masks.summary,
        notes=found.notes,
        findings=tuple(replace(finding, text=as_text(finding.text)) for finding in findings),
        block=_block(root, chosen, found, others),
    )


def _others(root: Path, request: PartsRequest, layout: str) -> dict[str, str]:
    """Layouts that would find parts in a folder as well as the one that is read."""
    others: dict[str, str] = {}
    for name, candidate in LAYOUTS.items():
        if name in (layout, _LAST_RESORT) or layout in _SPECIAL_FORMS.get(name, ()):
            continue
        if candidate.may_be_read(root) and _finds_parts(root, request, name):
            others[name] = candidate.title
    return others


def _finds_parts(root: Path, request: PartsRequest, layout: str) -> bool:
    try:
        return bool(look_for_parts(root, request, layout=layout).parts)
    except DataError:
        return False


def _ambiguity(others: Mapping[str, str], layout: str) -> list[Finding]:
    return [
        warning(
            "layout",
            f"it could be {title} as well; read as {LAYOUTS[layout].title}. To read it as the other, give "
            f"--layout {name} here, and data.layout: {name} in the recipe",
        )
        for name, title in others.items()
    ]


def _counts(values: Iterable[str], *, first: str | None = None) -> dict[str, int]:
    counts = Counter(values)
    names = sorted(counts, key=lambda name: (name != first, name))
    return {name: counts[name] for name in names}


def _block(root: Path, chosen: InspectionChoices, found: FoundParts, others: Mapping[str, str]) -> DataBlock:
    bare: tuple[RecordedPart, ...] = tuple(part for part in found.parts if part.unannotated)
    return data_block(
        root,
        found.parts,
        class_name=chosen.class_name,
        views=chosen.views,
        layout=found.layout if chosen.layout is not None or others else None,
        split=chosen.split,
        unannotated=len(bare),
    )
