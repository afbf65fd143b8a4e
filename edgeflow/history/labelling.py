"""A part is labelled: into the history, and beside its images where they are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeflow.clock import utc_text
from edgeflow.contracts.datasets.evidence_folders import part_views
from edgeflow.contracts.datasets.part_label import LABEL_FILE, LabelSource, PartLabel, write_label
from edgeflow.contracts.images import image_size
from edgeflow.contracts.messages import parse_message
from edgeflow.errors import DataError, UsageError
from edgeflow.history.labels import add_label, find_part
from edgeflow.history.reader import HistoryReader

__all__ = ["GivenLabel", "label_by_command", "label_part"]

_ARGUMENTS = ("part", "label", "kind", "by")


@dataclass(frozen=True, kw_only=True)
class GivenLabel:
    """A label that was recorded.

    Attributes:
        beside: the file beside the images; None where no images are kept.
        results: how many results have this part id; the latest one is labelled.
    """

    label: PartLabel
    beside: Path | None
    results: int

    @property
    def sentence(self) -> str:
        """The label and where it went, in one sentence for people."""
        label = self.label
        kind = f" ({label.kind})" if label.kind else ""
        more = f"; the latest of {self.results} results of this part" if self.results > 1 else ""
        images = "" if self.beside else "; its images are not kept"
        return (
            f"{label.part_id} ({label.result_id}) is labelled {label.label}{kind} by {label.by}{more}{images}"
        )


def label_part(
    path: Path,
    part: str,
    name: str,
    *,
    kind: str | None = None,
    regions: Sequence[Mapping[str, object]] = (),
    by: str,
    source: LabelSource,
) -> GivenLabel:
    """Label the latest result of a part; every earlier label stays on record.

    Args:
        path: the history.
        part: its result id, else its part id.
        name: ``OK`` or ``NG``, in any case of letters.
        kind: of defect, with NG.
        regions: see :class:`~edgeflow.contracts.datasets.part_label.LabelRegion`.

    Raises:
        DataError: the history knows no such part, or that is no label.
        StorageError: the history or the folder of images cannot be written.
    """
    found = find_part(path, part)
    if found is None:
        raise DataError(
            f"part {part[:128]}: the history {path} knows no such part or result; 'edgeflow results list "
            "BOX' shows those that it knows"
        )
    _require_views(path, found.result_id, regions)
    _require_within(found.evidence, regions)
    label = parse_message(
        PartLabel,
        {
            "schema": "edgeflow/label/1",
            "result_id": found.result_id,
            "part_id": found.part_id,
            "label": name.upper(),
            "kind": kind or None,
            "regions": [dict(region) for region in regions],
            "by": by,
            "source": source,
            "at": utc_text(),
        },
    )
    add_label(path, label)
    folder = found.evidence
    if folder is None or not folder.is_dir():
        return GivenLabel(label=label, beside=None, results=found.results)
    write_label(folder, label)
    return GivenLabel(label=label, beside=folder / LABEL_FILE, results=found.results)


def _require_views(path: Path, result_id: str, regions: Sequence[Mapping[str, object]]) -> None:
    """Check that regions are drawn on views of the part.

    Raises:
        DataError: one is not.
    """
    if not regions:
        return
    with HistoryReader(path) as reader:
        record = reader.part(result_id)
    views = [view.view for view in record.views] if record is not None else []
    unknown = sorted({str(region.get("view")) for region in regions} - set(views))
    if unknown:
        raise DataError(
            f"region on view {', '.join(unknown)}: the part has no such view (its views: {', '.join(views)})"
        )


def _require_within(folder: Path | None, regions: Sequence[Mapping[str, object]]) -> None:
    """Check that regions lie within the pictures, of views whose picture is still there.

    Raises:
        DataError: one does not.
    """
    if not regions or folder is None:
        return
    images = part_views(folder, folder.name, [])
    for region in regions:
        file = images.get(str(region.get("view")))
        if file is None:
            continue
        height, width = image_size(file)
        x, y, wide, high = (_whole(region.get(name)) for name in ("x", "y", "width", "height"))
        if x + wide > width or y + high > height:
            raise DataError(
                f"region {region.get('view')}:{x},{y},{wide},{high} reaches beyond the picture of the view, "
                f"which has {width} x {height} pixels"
            )


def _whole(value: object) -> int:
    """A whole number; 0 for what the label itself refuses."""
    return value if isinstance(value, int) else 0


def label_by_command(path: Path, arguments: Mapping[str, str], *, who: str, source: LabelSource) -> str:
    """Carry out the command ``label``: ``part``, ``label`` and, if wanted, ``kind`` and ``by``.

    Args:
        who: issuer of the command; named beside ``by``, for whom it speaks.

    Raises:
        UsageError: an argument is missing or unknown; see :func:`label_part` for the rest.
    """
    unknown = ", ".join(sorted(set(arguments) - set(_ARGUMENTS)))
    missing = ", ".join(name for name in ("part", "label") if not arguments.get(name))
    if unknown or missing:
        what = f"unknown arguments: {unknown}" if unknown else f"missing: {missing}"
        raise UsageError(f"{what}; label takes part=ID label=OK|NG, and kind=NAME by=WHO if wanted")
    by = arguments.get("by")
    given = label_part(
        path,
        arguments["part"],
        arguments["label"],
        kind=arguments.get("kind"),
        by=f"{by} (through {who})" if by and by != who else who,
        source=source,
    )
    return given.sentence
