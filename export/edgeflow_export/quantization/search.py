"""The INT8 graph of one back end that keeps the recipe's budgets: by measured sensitivity, or none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from edgeflow.backends.openvino.bf16 import computes_in_bf16
from edgeflow.contracts.manifest import AccuracyReport, Scale
from edgeflow.contracts.parity import relative_error
from edgeflow.errors import AccuracyError, DataError, EdgeflowError
from edgeflow_export.conversion.calibration_parts import spread
from edgeflow_export.conversion.candidate_graphs import CandidateGraph, OnnxSource
from edgeflow_export.conversion.imported_graph import IrSource
from edgeflow_export.conversion.int8 import Group, Int8Options
from edgeflow_export.conversion.job import ExportJob
from edgeflow_export.conversion.stage_results import StageResults, statistics_identity
from edgeflow_export.data.dataset import iterate_images
from edgeflow_export.data.ground_truth import GroundTruth
from edgeflow_export.imported.imported_model import ImportedModel
from edgeflow_export.quantization.accuracy_guard import Scored
from edgeflow_export.quantization.budget import Judged, hold_budget
from edgeflow_export.quantization.graph_thresholds import graph_thresholds
from edgeflow_export.quantization.kept_layers import (
    bisect_kept_layers,
    describe_kept,
    give_back,
    most_in_float,
)
from edgeflow_export.quantization.ranking_loss import Loss, PixelCurves, aupro_loss
from edgeflow_export.quantization.trial import GraphTrial

__all__ = ["Fp32Reference", "Reduced", "SearchBudget", "reduce_precision"]

SENSITIVITY_PARTS = 4


@dataclass(frozen=True, kw_only=True)
class SearchBudget:
    """Limits on the multiplications of the search for an INT8 graph: minutes on two cores.

    By count and not by the clock, so that the same export gives the same bytes.

    Attributes:
        calibration: in all calibration parts together.
        sensitivity: in the parts that show what one group of convolutions does.
        searched: per part, up to which ONNX Runtime's graphs are searched at all: its quantizer calibrates
            anew for every choice.
    """

    calibration: float = 1500e9
    sensitivity: float = 300e9
    searched: float = 20e9


@dataclass(frozen=True, kw_only=True)
class Fp32Reference:
    """The fp32 graph that a reduced one stands in for.

    Attributes:
        scale: of its own part threshold.
        truth: masks of the test parts' defects, which come after the held-out parts; None without any.
    """

    draft: CandidateGraph
    scored: Scored
    scale: Scale
    truth: GroundTruth | None = None


@dataclass(frozen=True, kw_only=True)
class Reduced:
    """A graph in INT8 or bf16 within the budgets, with what was found of it."""

    draft: CandidateGraph
    scored: Scored
    report: AccuracyReport


Quantizer = Callable[[Sequence[Group]], CandidateGraph]
"""The graph with some groups in float."""


def reduce_precision(
    job: ExportJob,
    source: OnnxSource | IrSource,
    backend: str,
    trial: GraphTrial,
    fp32: Fp32Reference,
    effort: SearchBudget | None = None,
) -> tuple[tuple[Reduced, ...], str | None]:
    """The reduced graphs of one back end that hold the recipe's budgets: every one that the recipe names.

    All convolutions are quantized. Over budget, groups of them go back to float, the most sensitive first, up
    to half of all convolutions. bf16 is tried where the recipe names it, and where no INT8 graph was found.
    No speed is measured: the same export gives the same bytes, and a box is another machine anyway.

    Returns:
        The graphs, and what a reader of the bundle must know where one that was asked for is not among them.

    Raises:
        AccuracyError: no INT8 graph holds the budgets, and the recipe requires one.
    """
    search = _Search(job, source, backend, trial, fp32, effort or SearchBudget())
    asked = set(job.spec.precisions)
    int8 = search.int8() if "int8" in asked else None
    if "int8" in asked and int8 is None and job.spec.int8_required:
        raise AccuracyError(
            f"{backend}-int8 does not hold the recipe's budgets, and export.int8_required is true; nothing "
            "was written. Widen the budgets, calibrate with more parts (export.calibration_parts), or export "
            "without int8 (export.precisions: [fp32])",
            problems=search.steps,
        )
    missing = ["int8"] if "int8" in asked and int8 is None else []
    bf16 = None
    if backend == "openvino" and ("bf16" in asked or missing):
        bf16 = search.bf16()
        missing += ["bf16"] if "bf16" in asked and bf16 is None else []
    found = tuple(graph for graph in (int8, bf16) if graph is not None)
    if not missing:
        return found, None
    instead = " and ".join(graph.draft.precision for graph in found) or "fp32 only"
    return found, f"{backend}: {instead} instead of {' and '.join(missing)}; {'; '.join(search.steps)}"


class _Search:
    """One back end's search, with what has been tried."""

    def __init__(
        self,
        job: ExportJob,
        source: OnnxSource | IrSource,
        backend: str,
        trial: GraphTrial,
        fp32: Fp32Reference,
        effort: SearchBudget,
    ) -> None:
        self.effort = effort
        self.job, self.source, self.backend, self.trial, self.fp32 = job, source, backend, trial, fp32
        self.steps: list[str] = []
        self._within: Reduced | None = None
        self._calibrated: Quantizer | None = None
        self._macs = source.macs()
        self._options = Int8Options.of(job.spec)
        count = self._affordable(job.spec.calibration_parts, self.effort.calibration, 2)
        self._parts = spread(job.data.training, count)

    def int8(self) -> Reduced | None:
        """With the fewest groups in float that hold the budgets: found by halving, some taken back.

        What is returned was tried. The quantizer may not know the form of a network from elsewhere.
        """
        try:
            return self._searched()
        except EdgeflowError:
            raise
        except Exception as cause:
            if not isinstance(self.job.model, ImportedModel):
                raise
            reason = (str(cause).strip().splitlines() or [type(cause).__name__])[-1]
            self.steps.append(f"the quantizer does not know this graph: {reason[:200]}")
            return None

    def _searched(self) -> Reduced | None:
        if isinstance(self.source, IrSource):
            self.steps.append(self.source.unquantizable)
            return None
        groups = self.source.groups(self._options)
        if not groups:
            self.steps.append("the graph has no convolution with weights of its own to quantize")
            return None
        self._say_calibration()
        if not self._attempt(()) and self._is_searched():
            order = self._by_sensitivity(groups)
            found = bisect_kept_layers(most_in_float(order), lambda count: self._attempt(order[:count]))
            give_back(order[: found or 0], self._attempt)
        return self._within

    def _attempt(self, kept: Sequence[Group]) -> bool:
        """One try; the last that is within budget has the fewest groups in float."""
        what = describe_kept(kept)
        with self.job.stage(f"quantizing {what} for {self.backend}, calibrated on {len(self._parts)} parts"):
            draft = self._quantized(kept)
        try:
            self._within = self._tried(draft, what)
        except AccuracyError as cause:
            self._give_up(what, cause)
            return False
        return True

    def _quantized(self, kept: Sequence[Group]) -> CandidateGraph:
        """The graph with some groups in float, as kept from an interrupted export or made now."""
        files = self.job.results.kept_files(
            f"{describe_kept(kept)} in INT8 for {self.backend}",
            self._decided_by(kept),
            lambda: self._quantizer()(kept).files,
        )
        return self._onnx.int8(self.backend, files)

    def _quantizer(self) -> Quantizer:
        """Calibrated once, and only where something has to be quantized."""
        if self._calibrated is None:
            images = iterate_images(self._parts, self.job.data)
            self._calibrated = self._onnx.quantizer(self.backend, images, self._options, self.job.results)
        return self._calibrated

    @property
    def _onnx(self) -> OnnxSource:
        assert isinstance(self.source, OnnxSource)  # noqa: S101 - nothing else comes this far
        return self.source

    def _decided_by(self, kept: Sequence[Group]) -> tuple[str, ...]:
        members = sorted(member for group in kept for member in group.members)
        images = self.job.results.parts_identity(self._parts, self.job.data)
        return self.source.identity, str(members), images, self._options.identity

    def _say_calibration(self) -> None:
        asked, used = self.job.spec.calibration_parts, len(self._parts)
        if used < min(asked, len(self.job.data.training)):
            self.steps.append(
                f"calibrated on {used} parts, not on {asked}: the graph multiplies {self._macs / 1e9:.0f}e9 "
                "times a part"
            )

    def _is_searched(self) -> bool:
        searched = self.backend == "openvino" or self._macs <= self.effort.searched
        if not searched:
            self.steps.append(
                f"no search for what would have to stay in float: too costly for a graph that multiplies "
                f"{self._macs / 1e9:.0f}e9 times a part"
            )
        return searched

    def _affordable(self, parts: int, macs: float, least: int) -> int:
        return max(least, min(parts, int(macs // max(1, self._macs))))

    def bf16(self) -> Reduced | None:
        if not computes_in_bf16():
            self.steps.append("bf16: this processor does not compute in it")
            return None
        draft = self.source.drafts(("openvino",), ("bf16",))[-1]
        try:
            return self._tried(draft, "")
        except AccuracyError as cause:
            self._give_up("bf16", cause)
            return None

    def _tried(self, draft: CandidateGraph, what: str) -> Reduced:
        """The graph, if it decides as fp32 does.

        Raises:
            AccuracyError: over budget.
        """
        with self.job.stage(f"scoring {len(self.trial.parts)} parts with {draft.id}"):
            scored = self.trial.score(draft)
        try:
            own = graph_thresholds(self.job, scored).part
        except DataError as cause:
            raise AccuracyError(f"{draft.id} gives no thresholds: {cause.message}") from cause
        judged = Judged(scored=scored, scale=own, counted=self.trial.counted(scored))
        report = hold_budget(
            draft.id,
            judged,
            self._reference,
            self.job.spec,
            aupro=self._aupro(judged),
            quantized=what,
            steps=tuple(self.steps),
        )
        return Reduced(draft=draft, scored=scored, report=report)

    @cached_property
    def _reference(self) -> Judged:
        scored = self.fp32.scored
        return Judged(scored=scored, scale=self.fp32.scale, counted=self.trial.counted(scored))

    @cached_property
    def _reference_curves(self) -> PixelCurves | None:
        truth = self.fp32.truth
        return None if truth is None else PixelCurves.of(self._reference.counted[-len(truth.masks) :], truth)

    def _aupro(self, judged: Judged) -> Loss | None:
        """Loss of AUPRO on the test parts, the last of the trial; None without masks of defects."""
        truth, before = self.fp32.truth, self._reference_curves
        if truth is None or before is None:
            return None
        now = PixelCurves.of(judged.counted[-len(truth.masks) :], truth)
        return aupro_loss(now, before, truth.defective_parts)

    def _give_up(self, what: str, cause: AccuracyError) -> None:
        reason = "; ".join(cause.problems) or cause.message
        self.steps.append(f"{what}: {reason}")
        with self.job.stage(f"over budget: {what}: {reason}"):
            pass

    def _by_sensitivity(self, groups: Sequence[Group]) -> list[Group]:
        """The groups, first the one whose quantization alone moves part scores the most."""
        parts = self._parts[: self._affordable(SENSITIVITY_PARTS, self.effort.sensitivity, 1)]
        # Kept are the figures alone: a dozen graphs would fill the cache.
        trial = replace(self.trial, parts=parts, masks=None, distilled=False, results=StageResults())
        reference = trial.score(self.fp32.draft)
        found: dict[str, float] = {}
        for group in groups:
            with self.job.stage(f"sensitivity of {self.backend} to {group.name}"):
                others = [other for other in groups if other is not group]
                found[group.name] = self._sensitivity(group, others, trial, reference)
        return sorted(groups, key=lambda group: -found[group.name])

    def _sensitivity(
        self, group: Group, others: Sequence[Group], trial: GraphTrial, reference: Scored
    ) -> float:
        """Return how far part scores move where this group alone is quantized."""

        def make() -> dict[str, npt.NDArray[np.float64]]:
            shift = _shift(trial.score(self._quantizer()(others)), reference, self.fp32.scale)
            return {"shift": np.array([shift], np.float64)}

        decided_by = (
            *self._decided_by(others),
            str(len(trial.parts)),
            self.fp32.scale.model_dump_json(),
            trial.scoring.model_dump_json(),
            statistics_identity(trial.statistics),
        )
        kept = self.job.results.kept(f"sensitivity of {self.backend} to {group.name}", decided_by, make)
        return float(kept["shift"][0])


def _shift(scored: Scored, reference: Scored, scale: Scale) -> float:
    """Return how far part scores move, in units of the scaled score; and maps, where the scores do not."""
    moved = np.abs(scored.parts - reference.parts).mean() / (scale.threshold - scale.centre)
    return float(moved) + 1e-3 * relative_error(scored.maps, reference.maps)
