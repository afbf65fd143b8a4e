"""A person's judgement of a part, recorded in the history, beside the images and with the commands."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from edgeflow.clock import utc_text
from edgeflow.commands.audit_log import Audit, change_record, local_source
from edgeflow.config.box import BoxConfig
from edgeflow.contracts.datasets.part_label import LabelName, PartLabel, write_label
from edgeflow.errors import DataError
from edgeflow.history.labels import add_label
from edgeflow.history.reader import HistoryReader
from edgeflow.web.language import Translations
from edgeflow.web.pages.pictures import evidence_folder
from edgeflow.web.pages.regions import RegionError, picture_sizes, read_regions

__all__ = ["Judgement", "judge_part"]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A person's word on a part.

    Attributes:
        regions: as ``VIEW:X,Y,W,H``, in pixels of the camera's image.
        user: of the page.
    """

    result_id: str
    label: LabelName
    kind: str
    regions: tuple[str, ...]
    user: str


def _(text: str) -> str:
    """Mark a text for translation."""
    return text


_GOOD_WITH_REGIONS = _("Regions mark a defect. Remove them, or judge the part NG.")


def judge_part(config: BoxConfig, judgement: Judgement, words: Translations) -> str:
    """Record who judged a part how; return a sentence that says so.

    The history keeps every judgement; the file beside the images, which exports read, has the last one.

    Args:
        words: the language of the user.

    Raises:
        RegionError: a region that cannot be kept, or one on a part judged OK.
        DataError: no such part, or a kind that cannot be used.
        StorageError: it cannot be recorded.
    """
    with HistoryReader(config.history_path) as reader:
        record = reader.part(judgement.result_id)
    if record is None or record.row.result_id != judgement.result_id:
        raise DataError("there is no such part")
    if judgement.regions and judgement.label == "OK":
        raise RegionError(words.gettext(_GOOD_WITH_REGIONS))
    sizes = picture_sizes(config, record) if judgement.regions else {}
    regions = read_regions(judgement.regions, record, sizes, words)
    kind = judgement.kind
    try:
        made = PartLabel(
            result_id=judgement.result_id,
            part_id=record.row.part_id,
            label=judgement.label,
            kind=kind or None,
            regions=regions,
            by=judgement.user,
            source="page",
            at=utc_text(),
        )
    except ValidationError as cause:
        raise DataError(f"kind {kind[:60]!r}: up to 40 letters, digits, spaces, . _ or -") from cause
    add_label(config.history_path, made)
    folder = evidence_folder(config, record)
    if folder is not None:
        write_label(folder, made)
    said = f"{record.row.part_id}: {made.label} {kind}".rstrip()
    arguments = {"part": made.result_id, "label": made.label, **({"kind": kind} if kind else {})}
    drawn = {"regions": " ".join(judgement.regions)} if regions else {}
    arguments |= {**drawn, "by": made.by}
    audit = Audit(config.audit_path, round(config.commands.audit_max_mb * 1e6))
    audit.write(change_record("label", arguments, said, source=local_source(judgement.user)))
    return said
