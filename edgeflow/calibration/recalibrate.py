"""New thresholds for a bundle from good parts recorded at the box itself; its graphs stay as they are."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edgeflow import __version__
from edgeflow.backends.runner import DEFAULT_PLACEMENT, Placement
from edgeflow.bundles.archive import write_archive
from edgeflow.bundles.bundle import Bundle, read_manifest
from edgeflow.bundles.writer import bundle_entries, manifest_bytes
from edgeflow.calibration.detection_rates import shortcomings
from edgeflow.calibration.effect import Effect, require_small
from edgeflow.calibration.part_scores import PartScores
from edgeflow.calibration.thresholds import Method
from edgeflow.contracts.datasets.evidence_folders import require_good_evidence, require_no_overruled
from edgeflow.contracts.datasets.find_parts import RecordedPart
from edgeflow.contracts.manifest import SCHEMA_VERSION, Graph, LabelledScores, Manifest, Thresholds
from edgeflow.contracts.scoring import scaled
from edgeflow.errors import ConfigError, DataError, DeviceError, EdgeflowError
from edgeflow.files import require_new, write_then_verify
from edgeflow.scoring.loading import make_scorer
from edgeflow.scoring.verification import verify_graph

__all__ = ["LEAST_PARTS", "NewThresholds", "Recalibrated", "recalibrate", "reference_graph"]

LEAST_PARTS = 10
"""Fewer good parts than this give no threshold."""


@dataclass(frozen=True, kw_only=True)
class NewThresholds:
    """One graph's thresholds, before and now.

    Attributes:
        before: by which it was judged so far; the bundle's, where it had none of its own.
        effect: what the new thresholds do to the parts on record and to the bundle's own defective ones.
    """

    before: Thresholds
    after: Thresholds
    effect: Effect


@dataclass(frozen=True, kw_only=True)
class Recalibrated:
    """A bundle written with new thresholds.

    Attributes:
        graph: describes the bundle: its thresholds are the bundle's.
        graphs: graph → its thresholds; the one that describes the bundle first.
        changed: golden parts whose verdict is another one now, with both.
        shortcomings: why the new bundle is not to be trusted, such as too few parts.
        uncalibrated: graphs that this machine cannot run: they have no thresholds, and no box can run them.
    """

    path: Path
    sha256: str
    version: int
    graph: str
    graphs: Mapping[str, NewThresholds]
    changed: tuple[str, ...]
    shortcomings: tuple[str, ...]
    uncalibrated: tuple[str, ...]

    @property
    def before(self) -> Thresholds:
        """The old thresholds of the graph that describes the bundle."""
        return self.graphs[self.graph].before

    @property
    def after(self) -> Thresholds:
        """Its new ones."""
        return self.graphs[self.graph].after

    @property
    def effect(self) -> Effect:
        """Their effect."""
        return self.graphs[self.graph].effect


def reference_graph(manifest: Manifest, graph_id: str | None) -> Graph:
    """The graph that describes a bundle: the one named, else the first that has thresholds, fp32 at export.

    Raises:
        ConfigError: the bundle has no such graph.
    """
    for graph in manifest.graphs:
        if graph_id == graph.id or (graph_id is None and manifest.is_calibrated(graph)):
            return graph
    found = ", ".join(graph.id for graph in manifest.graphs)
    raise ConfigError(f"no graph '{graph_id}'; the bundle holds: {found}")


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
    raw = manifest_bytes(
        _next_version(bundle, found, reference, {bundle.path.resolve().parent, output.parent})
    )
    entries = bundle_entries(raw, manifest.files, bundle.read, signer)
    with write_then_verify(output) as draft:
        write_archive(draft, entries)
        with Bundle.open(draft) as written:
            for graph in (graph for graph in written.manifest.graphs if graph.id in found):
                verify_graph(written, graph, placement=placement)
            sha256, version = written.sha256, written.manifest.version
    return Recalibrated(
        path=output,
        sha256=sha256,
        version=version,
        graph=reference.id,
        graphs=found,
        changed=_changed_verdicts(bundle, found[reference.id].after),
        shortcomings=shortcomings(found[reference.id].after, manifest.min_recall),
        uncalibrated=tuple(graph.id for graph in manifest.graphs if graph.id not in found),
    )


def _scores(bundle: Bundle, graph: Graph, placement: Placement, parts: Iterable[RecordedPart]) -> PartScores:
    """The scores of all parts by one graph.

    Raises:
        DeviceError: it cannot run here.
        DataError: see :meth:`PartScores.add`.
    """
    before = _before(bundle.manifest, graph)
    scorer = make_scorer(bundle, graph, placement=placement, thresholds=before)
    try:
        scores = PartScores(bundle.manifest, scorer)
        scores.add(parts)
    finally:
        scorer.close()
    return scores


def _before(manifest: Manifest, graph: Graph) -> Thresholds:
    """The graph's thresholds so far; the bundle's, where it could not run when the others got theirs."""
    return manifest.thresholds_of(graph) if manifest.is_calibrated(graph) else manifest.reference_thresholds


def _judged(
    manifest: Manifest, graph: Graph, scores: PartScores, rate: float | None, method: Method
) -> NewThresholds:
    """The graph's new thresholds beside its old ones."""
    old = _before(manifest, graph)
    new = scores.thresholds(old.false_reject_rate if rate is None else rate, method)
    new = new.model_copy(update={"labelled": _labelled(old, new)})
    return NewThresholds(before=old, after=new, effect=Effect.of(old, new, scores.good))


def _labelled(old: Thresholds, new: Thresholds) -> LabelledScores | None:
    """Scores of defective parts: the new ones, else those that the bundle has carried so far."""
    return new.labelled if new.labelled is not None else old.labelled


def _highest_version(name: str, folders: Iterable[Path]) -> int:
    """Of the bundles of one name that lie in these folders; other files are passed over."""
    highest = 0
    beside = {file for folder in folders if folder.is_dir() for file in folder.iterdir()}
    for path in (file for file in beside if zipfile.is_zipfile(file)):
        try:
            manifest = read_manifest(path)
        except EdgeflowError:
            continue
        if manifest.name == name:
            highest = max(highest, manifest.version)
    return highest


def _next_version(
    bundle: Bundle, found: Mapping[str, NewThresholds], reference: Graph, folders: Iterable[Path]
) -> Manifest:
    """The manifest with new thresholds, and where they come from.

    Args:
        reference: describes the bundle.
        folders: where other versions may lie.
    """
    highest = max(bundle.manifest.version, _highest_version(bundle.manifest.name, folders))
    described = found[reference.id].after
    provenance = {
        "calibrated_from": bundle.sha256,
        "calibrated_by": f"edgeflow {__version__}, {', '.join(found)}, {described.normal_parts} good parts",
    }
    return bundle.manifest.model_copy(
        update={
            "schema_version": SCHEMA_VERSION,
            "version": highest + 1,
            "reference_thresholds": described,
            "graph_thresholds": {name: new.after for name, new in found.items()},
            "provenance": {**bundle.manifest.provenance, **provenance},
        }
    )


def _changed_verdicts(bundle: Bundle, thresholds: Thresholds) -> tuple[str, ...]:
    changed = []
    for part in bundle.manifest.golden:
        score = bundle.golden_expectation(part).part
        before, after = (
            "OK" if scaled(score, scale) <= 1.0 else "NG"
            for scale in (bundle.manifest.reference_thresholds.part, thresholds.part)
        )
        if before != after:
            changed.append(f"{part.part_id}: {before} before, {after} now")
    return tuple(changed)
