"""Label that a person gave a part: in the history of a box, and beside the images as ``label.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from edgeflow.contracts.documents.document import Document, Text, parse_document
from edgeflow.contracts.message_parts.base import Message, Timestamp
from edgeflow.contracts.messages import to_json
from edgeflow.errors import DataError, StorageError
from edgeflow.files import replace_atomically

__all__ = [
    "LABEL_FILE",
    "MOST_REGIONS",
    "UNLABELLED",
    "KeptWhy",
    "LabelName",
    "LabelRegion",
    "LabelSource",
    "PartLabel",
    "read_label",
    "write_label",
]

LABEL_FILE = "label.json"
UNLABELLED = "unlabelled"
"""Folder of an export with the OK parts that nobody has labelled."""
MOST_REGIONS = 64
"""With one label."""
_RESERVED = frozenset({"good", "ok", "ng", "train", "test", "ground_truth", "maps", UNLABELLED})
_MOST_BYTES = 65_536

LabelName = Literal["OK", "NG"]
LabelSource = Literal["page", "cli", "mqtt", "local"]
KeptWhy = Literal["verdict", "sample", "request"]
"""Reason why the images of a part were kept: its verdict, the share of OK parts, or the command snapshot."""


def _is_no_folder_of_ours(kind: str) -> str:
    if kind.lower() in _RESERVED:
        raise ValueError(f"'{kind}' is no kind of defect; it is the name of a folder of data sets")
    return kind


Kind = Annotated[
    str,
    Text(
        pattern=r"^[^\W_](?:[\w .-]{0,38}[\w-])?$",
        words="a kind of up to 40 letters, digits, spaces, . _ or -, beginning with a letter or digit",
    ),
    AfterValidator(_is_no_folder_of_ours),
]
Person = Annotated[
    str,
    Text(
        pattern=r"^[^\x00-\x1f\x7f]{1,128}$", words="a name of 1 to 128 characters without control characters"
    ),
]


class LabelRegion(Document):
    """A box around a defect, in pixels of the camera's image."""

    view: str = Field(max_length=64)
    x: int = Field(ge=0)
    y: int = Field(ge=0)
    width: int = Field(gt=0)
    height: int = Field(gt=0)


class PartLabel(Message):
    """A person's judgement of one part; a later one of the same part counts instead."""

    schema_: Literal["edgeflow/label/1"] = Field(default="edgeflow/label/1", alias="schema")
    result_id: str = Field(min_length=1, max_length=256)
    part_id: str
    label: LabelName
    kind: Kind | None = Field(default=None, description="kind of defect, of NG")
    regions: tuple[LabelRegion, ...] = Field(default=(), max_length=MOST_REGIONS)
    by: Person = Field(description="who says so")
    source: LabelSource
    at: Timestamp

    @model_validator(mode="after")
    def _only_defects_have_a_kind(self) -> PartLabel:
        if self.label == "OK" and (self.kind or self.regions):
            raise ValueError("kind and regions describe a defect; a part labelled OK has none")
        return self

    @property
    def data_set_label(self) -> str:
        """The label as data sets name it: ``OK`` or the kind of defect."""
        return "OK" if self.label == "OK" else self.kind or "defect"


def read_label(folder: Path) -> PartLabel | None:
    """The label beside the images of a part; None where nobody gave one.

    Raises:
        DataError: there is one that cannot be read: the part must not count as unlabelled then.
    """
    path = folder / LABEL_FILE
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path}: is no label; remove it, or label the part again")
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        return None
    except (OSError, ValueError, RecursionError) as cause:
        raise DataError(f"{path}: cannot be read: {cause}; label the part again") from cause
    return parse_document(PartLabel, data, what=str(path), error=DataError, unknown="ignore")


def write_label(folder: Path, label: PartLabel) -> None:
    """Write the label beside the images of its part, instead of an earlier one.

    Raises:
        StorageError: the folder cannot be written, or is gone.
    """
    path = folder / LABEL_FILE
    try:
        with replace_atomically(path) as file:
            file.write(to_json(label) + b"\n")
    except OSError as cause:
        raise StorageError(
            f"{path}: cannot be written: {cause.strerror}; check its rights, and label the part again"
        ) from cause
