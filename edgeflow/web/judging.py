"""A person's judgement of a part, recorded in the history and beside the images."""

from __future__ import annotations

from pydantic import ValidationError

from edgeflow.clock import utc_text
from edgeflow.config.box import BoxConfig
from edgeflow.contracts.datasets.part_label import LabelName, PartLabel, write_label
from edgeflow.errors import DataError
from edgeflow.history.labels import add_label
from edgeflow.history.reader import HistoryReader
from edgeflow.web.pages.pictures import evidence_folder

__all__ = ["judge_part"]


def judge_part(config: BoxConfig, result_id: str, label: LabelName, kind: str, user: str) -> str:
    """Record who judged a part how; return a sentence that says so.

    The history keeps every judgement; the file beside the images, which exports read, has the last one.

    Raises:
        DataError: no such part, or a kind that cannot be used.
        StorageError: it cannot be recorded.
    """
    with HistoryReader(config.history_path) as reader:
        record = reader.part(result_id)
    if record is None or record.row.result_id != result_id:
        raise DataError("there is no such part")
    try:
        made = PartLabel(
            result_id=result_id,
            part_id=record.row.part_id,
            label=label,
            kind=kind or None,
            by=user,
            source="page",
            at=utc_text(),
        )
    except ValidationError as cause:
        raise DataError(f"kind {kind[:60]!r}: up to 40 letters, digits, spaces, . _ or -") from cause
    add_label(config.history_path, made)
    folder = evidence_folder(config, record)
    if folder is not None:
        write_label(folder, made)
    return f"{record.row.part_id}: {label} {kind}".rstrip()
