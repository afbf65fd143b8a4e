"""Labelled evidence of a box where it lies, and a fingerprint of its labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from edgeflow.bundles.bundle import Bundle
from edgeflow.calibration.labelled.evidence import LabelledEvidence
from edgeflow.contracts.datasets.population import PopulationPart
from edgeflow.history.filters import ResultFilter
from edgeflow.history.population import box_population
from edgeflow.history.reader import HistoryReader
from edgeflow.history.records import PartRow

__all__ = ["labels_fingerprint", "labels_now", "read_box_evidence"]


def read_box_evidence(history: Path, evidence: Path | None, bundle: Bundle) -> LabelledEvidence:
    """Read what a box has inspected with a bundle.

    Args:
        evidence: the box's folder; None: it keeps none.

    Raises:
        DataError, StorageError: the history cannot be read, or has no result by this bundle.
    """
    with HistoryReader(history) as reader:
        found = box_population(reader, evidence, bundle.sha256)
    return LabelledEvidence(
        population=found.population, images=found.images, left_out=found.labelled_elsewhere
    )


def labels_now(history: Path, bundle_sha256: str, graph: str) -> str:
    """Return the fingerprint of the labels on results by a bundle and graph.

    Raises:
        StorageError: the history cannot be read.
    """
    chosen = ResultFilter(bundle_sha256=bundle_sha256, graph=graph, labelled="yes")
    with HistoryReader(history) as reader:
        return labels_fingerprint(reader.each(chosen))


def labels_fingerprint(parts: Iterable[PopulationPart | PartRow]) -> str:
    """Return a hash over the labels of parts; parts without one do not count."""
    labels = sorted(f"{part.result_id} {part.label} {part.disputed}" for part in parts if part.label)
    return hashlib.sha256("\n".join(labels).encode()).hexdigest()
