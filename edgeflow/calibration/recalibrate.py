"""New thresholds for a bundle from good parts recorded at the box itself; its graphs stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edgeflow.backends.runner import DEFAULT_PLACEMENT, Placement
from edgeflow.bundles.bundle import Bundle
from edgeflow.calibration.effect import Effect, require_small
from edgeflow.calibration.next_version import (
    NewThresholds,
    Recalibrated,
    reference_graph,
    thresholds_before,
    write_next_version,
)
from edgeflow.calibration.part_scores import PartScores
from edgeflow.calibration.thresholds import Method
from edgeflow.contracts.datasets.evidence_folders import require_good_evidence, require_no_overruled
from edgeflow.contracts.datasets.find_parts import RecordedPart
from edgeflow.contracts.manifest import Graph, LabelledScores, Manifest, Thresholds
from edgeflow.errors import DataError, DeviceError
from edgeflow.files import require_new
from edgeflow.scoring.loading import make_scorer

__all__ = ["LEAST_PARTS", "recalibrate"]

LEAST_PARTS = 10
"""Fewer good parts than this give no threshold."""


def recalibrate(
    bundle: Bundle,
    parts: tuple[RecordedPart, ...],
    output: Path,
    *,
    rate: float | None = None,
    method: Method = "auto",
    graph_id: str | None = None,
    placement: Placement = DEFAULT_PLACEMENT,
    accept: bool = False,
    signer: Ed25519PrivateKey | None = None,
    progress: Callable[[Iterable[RecordedPart]], Iterable[RecordedPart]] = iter,
) -> Recalibrated:
    """Write the next version of a bundle, with thresholds from these parts.

    Every graph that can run here gets its own, from its own scores. One that cannot gets none, and cannot be
    run from then on: the old thresholds are of other light and other parts.

    The version is higher than that of any bundle of this name beside the old or the new file, so that no two
    share one. A file that is there is never replaced.

    Parts that are labelled as defective only go into the operating curve. The golden parts stay, and are
    replayed from the new file, under its thresholds, before it takes its name.

    Args:
        parts: good ones that the flow was not trained on.
        rate: share of good parts that may be rejected; default: the bundle's.
        graph_id: the graph that describes the bundle, which must run here; see :func:`reference_graph`.
        accept: take thresholds however far they move.
        signer: signs the new bundle; otherwise it is unsigned.
        progress: wraps the parts as they are scored, once for every graph.

    Raises:
        UsageError: the output is there.
        DataError: too few parts, unreadable ones, the same picture twice, scores that are not finite, or
            unsorted evidence of rejected parts; all are named.
        AccuracyError: a threshold would move too far.
        ParityError: a graph and the trained model judge a golden part differently under the new thresholds.
        DeviceError: the graph that describes the bundle cannot run here.
        StorageError: the new file cannot be written.
    """
    manifest = bundle.manifest
    require_new(output)
    require_good_evidence(parts)
    require_no_overruled(parts)
    good = sum(not part.defective for part in parts)
    if good < LEAST_PARTS:
        raise DataError(
            f"{good} good part(s); at least {LEAST_PARTS} are needed for thresholds, and hundreds are better"
        )
    reference = reference_graph(manifest, graph_id)
    found: dict[str, NewThresholds] = {}
    for graph in (reference, *(graph for graph in manifest.graphs if graph.id != reference.id)):
        try:
            scores = _scores(bundle, graph, placement, progress(parts))
        except DeviceError:
            if graph.id == reference.id:
                raise
            continue
        found[graph.id] = _judged(manifest, graph, scores, rate, method)
    if not accept:
        for name, new in found.items():
            require_small(name, new.effect)
    return write_next_version(bundle, found, reference, output, placement=placement, signer=signer)


def _scores(bundle: Bundle, graph: Graph, placement: Placement, parts: Iterable[RecordedPart]) -> PartScores:
    """The scores of all parts by one graph.

    Raises:
        DeviceError: it cannot run here.
        DataError: see :meth:`PartScores.add`.
    """
    before = thresholds_before(bundle.manifest, graph)
    scorer = make_scorer(bundle, graph, placement=placement, thresholds=before)
    try:
        scores = PartScores(bundle.manifest, scorer)
        scores.add(parts)
    finally:
        scorer.close()
    return scores


def _judged(
    manifest: Manifest, graph: Graph, scores: PartScores, rate: float | None, method: Method
) -> NewThresholds:
    """The graph's new thresholds beside its old ones."""
    old = thresholds_before(manifest, graph)
    new = scores.thresholds(old.false_reject_rate if rate is None else rate, method)
    new = new.model_copy(update={"labelled": _labelled(old, new)})
    return NewThresholds(before=old, after=new, effect=Effect.of(old, new, scores.good))


def _labelled(old: Thresholds, new: Thresholds) -> LabelledScores | None:
    """Scores of defective parts: the new ones, else those that the bundle has carried so far."""
    return new.labelled if new.labelled is not None else old.labelled
