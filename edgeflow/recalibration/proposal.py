"""A proposal of new thresholds, as it is kept until somebody accepts it: what is shown is what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from edgeflow.contracts.documents.document import Document, parse_document
from edgeflow.contracts.manifest import Thresholds
from edgeflow.errors import DataError, StorageError
from edgeflow.files import replace_atomically

__all__ = [
    "CHANGED",
    "GraphThresholds",
    "Proposal",
    "Rejected",
    "WrittenBundle",
    "read_proposal",
    "write_proposal",
]


CHANGED = "labels have changed"
"""Outcome of a job that wrote nothing, since its proposal is no longer what the labels say."""


class GraphThresholds(Document):
    """One graph's thresholds, as they are and as they would be."""

    before: Thresholds
    after: Thresholds


class Rejected(Document):
    """Number of rejected parts among some parts."""

    rejected: int
    parts: int


class WrittenBundle(Document):
    """The bundle that was written from a proposal."""

    path: str
    version: int
    sha256: str
    by: str
    at: str
    changed_golden: tuple[str, ...]


class Proposal(Document):
    """New thresholds for all graphs of a bundle that can run here, and what they would change.

    Attributes:
        product: of a box with several, whose bundle it is for.
        labels: fingerprint of the labels that it was made from.
        far: graph → name of a threshold → its place on the old scale, of those that move too far unseen.
        graph: it ran on the box, and describes the next version.
        uncalibrated: graphs that get no threshold; no box can run them with the next version.
        preview: as ``edgeflow calibrate --json`` prints it.
        low_recall: of the bundle's own defective parts, where that is surely too few.
        many_rejects: of the bundle's own normal test parts, where that is surely more than the rate.
        suggested: name of a file for the next version.
    """

    schema_: Literal["edgeflow/proposal/1"] = Field(default="edgeflow/proposal/1", alias="schema")
    proposal_id: str
    made_at: str
    by: str
    product: str | None = None
    bundle_path: str
    bundle: str
    bundle_version: int
    bundle_sha256: str
    labels: str
    graph: str
    graphs: dict[str, GraphThresholds]
    far: dict[str, dict[str, float]]
    uncalibrated: tuple[str, ...]
    preview: dict[str, Any]
    low_recall: Rejected | None = None
    many_rejects: Rejected | None = None
    suggested: str
    written: WrittenBundle | None = None


def read_proposal(path: Path) -> Proposal | None:
    """Return the proposal that a file holds; None where there is none.

    Raises:
        DataError: it cannot be read.
    """
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as cause:
        raise DataError(f"{path}: cannot be read: {cause}; calculate again") from cause
    return parse_document(Proposal, data, what=str(path), error=DataError, unknown="ignore")


def write_proposal(path: Path, proposal: Proposal) -> None:
    """Keep a proposal instead of the one before.

    Raises:
        StorageError: the file cannot be written.
    """
    try:
        with replace_atomically(path) as file:
            file.write(proposal.model_dump_json(by_alias=True).encode() + b"\n")
    except OSError as cause:
        raise StorageError(f"{path}: cannot be written: {cause.strerror}; check space and rights") from cause
