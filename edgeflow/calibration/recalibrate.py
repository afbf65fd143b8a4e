"""New thresholds for a bundle from good parts recorded at the box itself; its graphs stay as they are."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edgeflow import __version__
from edgeflow.backends.runner import DEFAULT_PLACEMENT, Placement
from edgeflow.bundles.archive import write_archive
from edgeflow.bundles.bundle import Bundle, read_manifest
from edgeflow.bundles.writer import bundle_entries, manifest_bytes
from edgeflow.calibration.detection_rates import shortcomings
from edgeflow.calibration.effect import Effect, require_small
from edgeflow.calibration.thresholds import Method, calibrate
from edgeflow.contracts.datasets.evidence_folders import require_good_evidence
from edgeflow.contracts.datasets.find_parts import RecordedPart
from edgeflow.contracts.images import RgbImage, read_image
from edgeflow.contracts.manifest import SCHEMA_VERSION, Graph, LabelledScores, Manifest, Thresholds
from edgeflow.contracts.preprocess import blank_image, reading_of
from edgeflow.contracts.scoring import FloatArray, part_score, scaled
from edgeflow.errors import ConfigError, DataError, DeviceError, EdgeflowError
from edgeflow.files import require_new, write_then_verify
from edgeflow.scoring.loading import make_scorer
from edgeflow.scoring.scorer import Scorer, Scores
from edgeflow.scoring.verification import verify_graph

__all__ = ["LEAST_PARTS", "Recalibrated", "recalibrate", "reference_graph"]

LEAST_PARTS = 10
"""Fewer good parts than this give no threshold."""


@dataclass(frozen=True, kw_only=True)
class Recalibrated:
    """A bundle written with new thresholds.

    Attributes:
        changed: golden parts whose verdict is another one now, with both.
        effect: what the new thresholds do to the parts on record and to the bundle's own defective ones.
        shortcomings: why the new bundle is not to be trusted, such as too few parts.
        unproven: graphs that this machine cannot run, so that they were not replayed.
    """

    path: Path
    sha256: str
    version: int
    graph: str
    before: Thresholds
    after: Thresholds
    changed: tuple[str, ...]
    effect: Effect
    shortcomings: tuple[str, ...]
    unproven: tuple[str, ...]


def reference_graph(manifest: Manifest, graph_id: str | None) -> Graph:
    """The graph whose scores set the thresholds: the one named, else the first, in fp32 as at export.

    Raises:
        ConfigError: the bundle has no such graph.
    """
    for graph in manifest.graphs:
        if graph_id in (None, graph.id):
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

    The version is higher than that of any bundle of this name beside the old or the new file, so that no two
    share one. A file that is there is never replaced.

    Parts that are labelled as defective only go into the operating curve. The golden parts stay, and are
    replayed from the new file, under its thresholds, before it takes its name.

    Args:
        parts: good ones that the flow was not trained on.
        rate: share of good parts that may be rejected; default: the bundle's.
        accept: take thresholds however far they move.
        signer: signs the new bundle; otherwise it is unsigned.
        progress: wraps the parts as they are scored.

    Raises:
        UsageError: the output is there.
        DataError: too few parts, unreadable ones, the same picture twice, scores that are not finite, or
            unsorted evidence of rejected parts; all are named.
        AccuracyError: a threshold would move too far.
        ParityError: a graph and the trained model judge a golden part differently under the new thresholds.
        DeviceError: the graph cannot run here.
        StorageError: the new file cannot be written.
    """
    manifest = bundle.manifest
    require_new(output)
    require_good_evidence(parts)
    good = sum(not part.defective for part in parts)
    if good < LEAST_PARTS:
        raise DataError(
            f"{good} good part(s); at least {LEAST_PARTS} are needed for thresholds, and hundreds are better"
        )
    graph = reference_graph(manifest, graph_id)
    scorer = make_scorer(bundle, graph, placement=placement)
    try:
        scores = _Scores(manifest, scorer)
        scores.add(progress(parts))
    finally:
        scorer.close()
    old = manifest.thresholds
    new = scores.thresholds(old.false_reject_rate if rate is None else rate, method)
    new = new.model_copy(update={"labelled": _labelled(old, new)})
    effect = Effect.of(old, new, scores.good)
    if not accept:
        require_small(effect)
    raw = manifest_bytes(_next_version(bundle, new, graph, {bundle.path.resolve().parent, output.parent}))
    entries = bundle_entries(raw, manifest.files, bundle.read, signer)
    with write_then_verify(output) as draft:
        write_archive(draft, entries)
        with Bundle.open(draft) as written:
            unproven = _replay(written, graph, placement)
            changed = _changed_verdicts(bundle, new)
            sha256, version = written.sha256, written.manifest.version
    return Recalibrated(
        path=output,
        sha256=sha256,
        version=version,
        graph=graph.id,
        before=old,
        after=new,
        changed=changed,
        effect=effect,
        shortcomings=shortcomings(new, manifest.min_recall),
        unproven=unproven,
    )


class _Scores:
    """Raw scores of parts, whole and without the views that may be missing."""

    def __init__(self, manifest: Manifest, scorer: Scorer) -> None:
        self._manifest, self._scorer = manifest, scorer
        self._subsets = [tuple(key.split(",")) for key in manifest.thresholds.subsets]
        self.good: dict[str, float] = {}
        self._pictures: dict[tuple[int, str], str] = {}
        self._views: list[list[float]] = []
        self._from_subsets: list[list[float]] = []
        self._defective: list[float] = []

    def add(self, parts: Iterable[RecordedPart]) -> None:
        """Score parts.

        Raises:
            DataError: images that cannot be read, or scores that are not finite; every such part is named.
        """
        problems = []
        reading = reading_of(self._manifest.preprocessing)
        for part in parts:
            try:
                images = {view: read_image(part.images[view], reading) for view in self._manifest.view_ids}
                self._add(part, images)
            except DataError as error:
                problems.append(f"part {part.part_id}: {error.message}")
        if problems:
            raise DataError(
                f"{len(problems)} part(s) cannot be used; repair these or take them out", problems=problems
            )

    def _add(self, part: RecordedPart, images: Mapping[str, RgbImage]) -> None:
        whole = self._scorer.score(images, ask="all")
        self._require_new_pictures(part, whole)
        reduced = [] if part.defective else [self._without(images, present) for present in self._subsets]
        if not np.isfinite([whole.part, *whole.views.values(), *reduced]).all():
            raise DataError("a score is not finite")
        if part.defective:
            self._defective.append(whole.part)
            return
        self.good[part.part_id] = whole.part
        self._views.append(list(whole.views.values()))
        self._from_subsets.append(reduced)

    def _require_new_pictures(self, part: RecordedPart, scores: Scores) -> None:
        """Refuse a part with a picture of another one: parts that are there twice prove nothing twice."""
        repeated = []
        for view, (name, image) in enumerate(zip(self._manifest.view_ids, scores.inputs, strict=True)):
            key = view, hashlib.sha256(image.tobytes()).hexdigest()
            first = self._pictures.setdefault(key, part.part_id)
            if first != part.part_id:
                repeated.append(f"{name} is that of part {first}")
        if repeated:
            raise DataError(f"the picture of view {', of view '.join(repeated)}")

    def _without(self, images: Mapping[str, RgbImage], present: tuple[str, ...]) -> float:
        """The part score from the present views, while the graph sees blank images for the others."""
        shown = {
            view: image if view in present else blank_image(*image.shape[:2])
            for view, image in images.items()
        }
        views = self._scorer.score(shown, ask="all").views
        kept = np.array([score for view, score in views.items() if view in present], np.float32)
        return float(part_score(kept, self._manifest.scoring))

    def thresholds(self, rate: float, method: Method) -> Thresholds:
        by_subset = np.array(self._from_subsets, np.float32)
        subsets = {present: by_subset[:, index] for index, present in enumerate(self._subsets)}
        return calibrate(
            _array(list(self.good.values())),
            np.array(self._views, np.float32),
            self._manifest.view_ids,
            rate,
            method=method,
            subsets=subsets,
            defective=_array(self._defective) if self._defective else None,
            tolerance=min(graph.tolerance for graph in self._manifest.graphs),
        )


def _array(values: list[float]) -> FloatArray:
    return np.array(values, np.float32)


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


def _next_version(bundle: Bundle, thresholds: Thresholds, graph: Graph, folders: Iterable[Path]) -> Manifest:
    """The manifest with new thresholds, and where they come from.

    Args:
        folders: where other versions may lie.
    """
    highest = max(bundle.manifest.version, _highest_version(bundle.manifest.name, folders))
    provenance = {
        "calibrated_from": bundle.sha256,
        "calibrated_by": f"edgeflow {__version__}, {graph.id}, {thresholds.normal_parts} good parts",
    }
    return bundle.manifest.model_copy(
        update={
            "schema_version": SCHEMA_VERSION,
            "version": highest + 1,
            "thresholds": thresholds,
            "provenance": {**bundle.manifest.provenance, **provenance},
        }
    )


def _replay(bundle: Bundle, used: Graph, placement: Placement) -> tuple[str, ...]:
    """Replay the golden parts on every graph that can run here; the others' ids."""
    unproven = []
    for graph in bundle.manifest.graphs:
        try:
            verify_graph(bundle, graph, placement=placement)
        except DeviceError:
            if graph.id == used.id:
                raise
            unproven.append(graph.id)
    return tuple(unproven)


def _changed_verdicts(bundle: Bundle, thresholds: Thresholds) -> tuple[str, ...]:
    changed = []
    for part in bundle.manifest.golden:
        score = bundle.golden_expectation(part).part
        before, after = (
            "OK" if scaled(score, scale) <= 1.0 else "NG"
            for scale in (bundle.manifest.thresholds.part, thresholds.part)
        )
        if before != after:
            changed.append(f"{part.part_id}: {before} before, {after} now")
    return tuple(changed)
