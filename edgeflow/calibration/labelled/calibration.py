"""New thresholds for a bundle from a box's labelled evidence, weighed to stand for all that it inspected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edgeflow.backends.runner import DEFAULT_PLACEMENT, Placement
from edgeflow.bundles.bundle import Bundle
from edgeflow.calibration.effect import Effect, require_small
from edgeflow.calibration.labelled.evidence import LabelledEvidence
from edgeflow.calibration.labelled.population_scores import (
    GraphScores,
    TooFewKeptError,
    own_scores,
    scores_by_other_graph,
)
from edgeflow.calibration.labelled.preview import EvidencePreview
from edgeflow.calibration.labelled.turned_verdicts import TurnedVerdicts
from edgeflow.calibration.next_version import (
    NewThresholds,
    Recalibrated,
    reference_graph,
    thresholds_before,
    write_next_version,
)
from edgeflow.calibration.part_scores import MeasuredPart, PartScores, score_tolerance
from edgeflow.calibration.recalibrate import LEAST_PARTS
from edgeflow.calibration.thresholds import Method
from edgeflow.contracts.datasets.population import PopulationPart
from edgeflow.contracts.datasets.recorded_part import RecordedPart
from edgeflow.contracts.manifest import Graph, Thresholds
from edgeflow.errors import DataError, DeviceError
from edgeflow.files import require_new
from edgeflow.scoring.loading import make_scorer

__all__ = ["EvidenceCalibration", "Progress"]

Progress = Callable[[Iterable[RecordedPart]], Iterable[RecordedPart]]
_MOST_MEASURED = 500  # kept OK parts that are scored again: more tell hardly more


@dataclass(frozen=True, kw_only=True)
class EvidenceCalibration:
    """Thresholds from labelled evidence: previewed first, then written.

    Attributes:
        bundle: with which the box judged the evidence.
        rate: share of good parts that may be rejected; None: the bundle's.
        progress: wraps the parts as they are scored.
    """

    bundle: Bundle
    evidence: LabelledEvidence
    rate: float | None = None
    method: Method = "auto"
    placement: Placement = DEFAULT_PLACEMENT
    progress: Progress = iter

    def preview(self) -> EvidencePreview:
        """Return what would change for the graph that runs on the box; nothing is written.

        Raises:
            DataError: evidence of another bundle, or too few parts for the rate.
            ConfigError, DeviceError: the graph is not in the bundle, or cannot run here where it has to.
        """
        graph = self._graph()
        normal = self._normal()
        measured = self._measure_own(graph, normal)
        scores = self._own_scores(graph, normal, measured)
        before = thresholds_before(self.bundle.manifest, graph)
        after, effective = self._thresholds(graph, scores)
        rescored = {name: one.part for name, one in measured.items()}
        bounds = {part.result_id for part in self.evidence.population.parts if not part.is_exact}
        exact = {name: score for name, score in rescored.items() if name in bounds}
        return EvidencePreview(
            graph=graph.id,
            before=before,
            after=after,
            turned=TurnedVerdicts.of(self.evidence.population, exact, before.part, after.part),
            normal_parts=len(normal),
            effective_parts=effective,
            kept=scores.kept,
            rejected_before=int((scores.part.scores > before.part.threshold).sum()),
            rejected_now=int((scores.part.scores > after.part.threshold).sum()),
            unlabelled_rejects=self.evidence.unlabelled_rejects,
            disputed=sum(part.disputed for part in self.evidence.population.parts),
            left_out=self.evidence.left_out,
            scores=scores,
        )

    def write(
        self,
        preview: EvidencePreview,
        output: Path,
        *,
        accept: bool = False,
        signer: Ed25519PrivateKey | None = None,
    ) -> Recalibrated:
        """Write the next version of the bundle with the previewed thresholds; other graphs get theirs.

        A graph that cannot run here, or of which too little is known, gets none, and no box can run it.

        Args:
            accept: take thresholds however far they move.
            signer: signs the new bundle; otherwise it is unsigned.

        Raises:
            UsageError: the output is there.
            AccuracyError: a threshold would move too far.
            ParityError: by the new thresholds a graph judges a golden part unlike the trained model.
            StorageError: the new file cannot be written.
        """
        require_new(output)
        found = self.new_thresholds(preview)
        if not accept:
            for name, new in found.items():
                require_small(name, new.effect, preview.sentences)
        graph = self._graph()
        return write_next_version(self.bundle, found, graph, output, placement=self.placement, signer=signer)

    def new_thresholds(self, preview: EvidencePreview) -> dict[str, NewThresholds]:
        """Return graph → its thresholds: the previewed ones of the graph that ran, and those of the others.

        A graph that cannot run here, or of which too little is known, is absent.
        """
        manifest = self.bundle.manifest
        found = {preview.graph: self._new(preview.before, preview.after)}
        for graph in manifest.graphs:
            if graph.id == preview.graph:
                continue
            try:
                after = self._other_thresholds(graph, preview.scores)
            except (DeviceError, TooFewKeptError):
                continue
            found[graph.id] = self._new(thresholds_before(manifest, graph), after)
        return found

    def _graph(self) -> Graph:
        population = self.evidence.population
        if population.bundle_sha256 != self.bundle.sha256:
            raise DataError(
                f"the evidence is of the bundle with sha256 {population.bundle_sha256[:16]}…, and "
                f"{self.bundle.path} has {self.bundle.sha256[:16]}…: scores of another bundle say nothing; "
                "give the bundle with which the box inspected these parts"
            )
        return reference_graph(self.bundle.manifest, population.graph)

    def _normal(self) -> list[PopulationPart]:
        views = set(self.bundle.manifest.view_ids)
        parts = self.evidence.population.parts
        normal = [part for part in parts if part.is_normal and part.is_scored and set(part.views) == views]
        if len(normal) < LEAST_PARTS:
            raise DataError(
                f"{len(normal)} good part(s) were scored with all views; at least {LEAST_PARTS} are needed "
                "for thresholds, and hundreds are better: let the box inspect more"
            )
        return normal

    def _own_scores(
        self, graph: Graph, normal: Sequence[PopulationPart], measured: Mapping[str, MeasuredPart]
    ) -> GraphScores:
        before = thresholds_before(self.bundle.manifest, graph)
        return own_scores(normal, measured, self.bundle.manifest.view_ids, _subsets(before))

    def _measure_own(self, graph: Graph, normal: Sequence[PopulationPart]) -> dict[str, MeasuredPart]:
        """Measure what the history does not know exactly: bounds, and part scores without some views."""
        with_subsets = bool(thresholds_before(self.bundle.manifest, graph).subsets)
        wanted = [part for part in normal if with_subsets or not part.is_exact]
        labelled_ng = [
            part for part in self.evidence.population.parts if part.label == "NG" and not part.is_exact
        ]
        return self._measure(graph, [*self._chosen(wanted), *labelled_ng])

    def _other_thresholds(self, graph: Graph, ran: GraphScores) -> Thresholds:
        normal = self._normal()
        measured = self._measure(graph, self._chosen(normal))
        subsets = _subsets(thresholds_before(self.bundle.manifest, graph))
        return self._thresholds(graph, scores_by_other_graph(normal, ran, measured, subsets))[0]

    def _thresholds(self, graph: Graph, scores: GraphScores) -> tuple[Thresholds, float]:
        before = thresholds_before(self.bundle.manifest, graph)
        rate = before.false_reject_rate if self.rate is None else self.rate
        after, effective = scores.thresholds(rate, self.method, score_tolerance(self.bundle.manifest))
        # Evidence of defects is what the box rejected: it says nothing of those that it lets pass.
        return after.model_copy(update={"labelled": before.labelled}), effective

    def _chosen(self, parts: Sequence[PopulationPart]) -> list[PopulationPart]:
        """Kept parts that are scored again: all labelled ones, and of the others at most some, evenly."""
        kept = [part for part in parts if part.result_id in self.evidence.images]
        labelled = [part for part in kept if part.label is not None]
        others = sorted((part for part in kept if part.label is None), key=lambda part: part.score or 0.0)
        step = max(1.0, len(others) / _MOST_MEASURED)
        picked = [others[int(place * step)] for place in range(min(len(others), _MOST_MEASURED))]
        return [*labelled, *picked]

    def _measure(self, graph: Graph, parts: Sequence[PopulationPart]) -> dict[str, MeasuredPart]:
        """Score kept parts by one graph; one whose images are gone meanwhile is left out."""
        images = self.evidence.images
        views = set(self.bundle.manifest.view_ids)
        names = {
            id(images[part.result_id]): part.result_id
            for part in parts
            if part.result_id in images and views <= set(images[part.result_id].images)
        }
        wanted = [images[name] for name in names.values()]
        if not wanted:
            return {}
        before = thresholds_before(self.bundle.manifest, graph)
        scorer = make_scorer(self.bundle, graph, placement=self.placement, thresholds=before)
        measured = {}
        try:
            scores = PartScores(self.bundle.manifest, scorer)
            for part in self.progress(wanted):
                try:
                    measured[names[id(part)]] = scores.measure(part)
                except DataError as cause:
                    if all(file.is_file() for file in part.images.values()):
                        raise DataError(f"part {part.part_id}: {cause.message}") from cause
        finally:
            scorer.close()
        return measured

    @staticmethod
    def _new(before: Thresholds, after: Thresholds) -> NewThresholds:
        return NewThresholds(before=before, after=after, effect=Effect.of(before, after, {}))


def _subsets(thresholds: Thresholds) -> list[tuple[str, ...]]:
    return [tuple(key.split(",")) for key in thresholds.subsets]
