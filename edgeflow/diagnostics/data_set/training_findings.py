"""Objections of training and evaluation to parts: too few normal ones, labels and splits that do not fit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgeflow.contracts.datasets.data_depth import require_filled_range
from edgeflow.contracts.datasets.evidence_folders import require_good_evidence
from edgeflow.contracts.datasets.recorded_part import RecordedPart
from edgeflow.diagnostics.data_set.images import ImagesSeen
from edgeflow.diagnostics.findings import Finding, failed, failures, listed, warning
from edgeflow.errors import DataError

__all__ = ["training_findings"]

_FEW = 20


def training_findings(parts: Sequence[RecordedPart], images: ImagesSeen) -> list[Finding]:
    """Findings about parts as a recipe would split them."""
    candidates = [part for part in parts if part.split != "test"]
    bare = [part for part in parts if part.unannotated]
    findings = listed(
        [
            f"part {part.part_id}: {part.label}, in the training split; move it"
            for part in candidates
            if part.defective
        ],
        "labels",
        failed,
    )
    try:
        require_good_evidence(candidates)
    except DataError as cause:
        findings += failures("evidence", cause)
    if bare:
        findings.append(
            warning(
                "annotations",
                f"{len(bare)} parts have no annotation, such as {bare[0].part_id}: normal parts, or parts "
                "that nobody has looked at? data.unannotated in the recipe says so: normal, or left_out",
            )
        )
    return [*findings, *_counts(parts, candidates), *_dark(candidates, images)]


def _counts(parts: Sequence[RecordedPart], candidates: Sequence[RecordedPart]) -> Iterator[Finding]:
    normal = [part for part in candidates if not part.defective]
    test = [part for part in parts if part.split == "test"]
    good = sum(part.defective is False for part in test)
    evaluable = 0 < good < len(test)
    if not normal:
        text = "no normal parts to train on: all parts are defective or for testing"
        yield warning("training", text) if evaluable else failed("training", text)
    elif len(normal) < _FEW:
        yield warning(
            "training",
            f"{len(normal)} normal parts to train on; hundreds are better, 20 do for a patch memory",
        )
    if not evaluable:
        yield warning(
            "testing",
            f"{good} normal and {len(test) - good} defective parts in a test split; 'edgeflow evaluate' "
            "needs both, 'edgeflow train' and 'export' do not",
        )


def _dark(candidates: Sequence[RecordedPart], images: ImagesSeen) -> list[Finding]:
    """Deep images that leave the upper bits of their range unused."""
    deep: dict[str, list[Path]] = defaultdict(list)
    for part in candidates:
        for view, file in part.images.items():
            if file in images.headers and images.headers[file].is_deep:
                deep[view].append(file)
    if not deep:
        return []
    header = images.headers[next(iter(deep.values()))[0]]
    try:
        require_filled_range(
            deep,
            header.stated_bits or header.bits,
            what="images of more than 8 bits",
            remedy="accept them with image.allow_dark: true",
        )
    except DataError as cause:
        return [failed("depths", cause.message)]
    return []
