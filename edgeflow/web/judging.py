"""A person's judgement of a part, recorded in the history and beside the images."""

from __future__ import annotations

from contextlib import suppress

from pydantic import ValidationError

from edgeflow.clock import utc_text
from edgeflow.config.box import BoxConfig
from edgeflow.contracts.datasets.part_label import LABEL_FILE, LabelName, PartLabel, label_text
from edgeflow.errors import DataError, StorageError
from edgeflow.files import replace_atomically
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
        try:
            with suppress(FileNotFoundError), replace_atomically(folder / LABEL_FILE) as file:
                file.write(label_text(made))
        except OSError as cause:
            raise StorageError(
                f"{folder / LABEL_FILE}: cannot be written: {cause.strerror}; the history has the judgement"
            ) from cause
    return f"{record.row.part_id}: {label} {kind}".rstrip()
