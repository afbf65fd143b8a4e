"""The timing of recorded view sets: ``recording.jsonl`` beside the parts that ``edgeflow record`` wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field

from edgeflow.contracts.documents.document import Document, parse_document
from edgeflow.errors import DataError

__all__ = ["FILE_NAME", "RecordedFrame", "RecordedSet", "read_recording"]

FILE_NAME = "recording.jsonl"
_MOST_BYTES = 256 * 1024 * 1024


class RecordedFrame(Document):
    """Time at which one view of a part was taken; zero is the recording's first trigger."""

    at_ms: float
    counter: int | None = None


class RecordedSet(Document):
    """One line: a view set as it was captured."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    schema_: Literal["edgeflow/recording/1"] = Field(default="edgeflow/recording/1", alias="schema")
    part_id: str = Field(min_length=1, description="the name of its folder")
    line_part_id: str = Field(description="what the line called it, else its trigger id")
    triggered_at_ms: float
    skew_ms: float | None
    fault: str = ""
    frames: dict[str, RecordedFrame]


def read_recording(folder: Path) -> Mapping[str, RecordedSet]:
    """The timing of the parts in a folder, by part id, in their order.

    Raises:
        DataError: there is none, or it is not what ``edgeflow record`` writes.
    """
    path = folder / FILE_NAME
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path}: larger than any recording; replace it")
        lines = path.read_text("utf-8-sig").splitlines()
        data = [json.loads(line) for line in lines if line.strip()]
    except OSError as cause:
        raise DataError(
            f"{path}: cannot be read: {cause.strerror}; only 'edgeflow record' writes the timing of parts"
        ) from cause
    except (ValueError, RecursionError) as cause:
        raise DataError(f"{path}: not a recording: {cause}; record the parts again") from cause
    sets = [parse_document(RecordedSet, each, what=str(path), error=DataError) for each in data]
    return {recorded.part_id: recorded for recorded in sets}
