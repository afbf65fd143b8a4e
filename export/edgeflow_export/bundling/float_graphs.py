"""The float graphs of a bundle: rewritten, exported, scored and compared with the trained model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from edgeflow.contracts.manifest import StageParity
from edgeflow.contracts.parity import relative_error
from edgeflow.contracts.scoring import FloatArray
from edgeflow.errors import ParityError
from edgeflow_export.conversion.candidate_graphs import CandidateGraph, OnnxSource, draft_onnx
from edgeflow_export.conversion.imported_graph import IrSource, draft_imported
from edgeflow_export.conversion.job import ExportJob
from edgeflow_export.conversion.onnx_and_ir import FOREGROUND, MAPS
from edgeflow_export.conversion.rewriting import GraphForms, InferenceModel, rewrite
from edgeflow_export.data.dataset import Images, iterate_images
from edgeflow_export.foreground.candidates import distilled_head
from edgeflow_export.imported.imported_model import ImportedModel, require_varying
from edgeflow_export.masks.teachers import MaskTeacher
from edgeflow_export.models.inspection_model import InspectionModel
from edgeflow_export.quantization.accuracy_guard import Scored
from edgeflow_export.quantization.trial import GraphTrial, require_finite
from edgeflow_export.recipe import HEADED, ExportSpec

__all__ = [
    "PARITY_PARTS",
    "STATISTICS_FILE",
    "FloatGraphs",
    "MeasuredGraph",
    "float_graphs",
    "largest_error",
    "replay_tolerance",
    "verified_error",
]

STATISTICS_FILE = "scoring/pixel_statistics.npz"
PARITY_PARTS = 2


@dataclass(frozen=True, kw_only=True)
class MeasuredGraph:
    """A graph with its results for the export's parts.

    Attributes:
        error: largest relative error of its maps against the trained model's.
    """

    draft: CandidateGraph
    scored: Scored
    error: float


@dataclass(frozen=True, kw_only=True)
class FloatGraphs:
    """The float graphs of every back end, and the settings that scored them.

    Attributes:
        source: the graph that all of them were made from.
        expected: the trained model's maps (n, V, h, w) of the first parts.
        graphs: the first is the reference.
        parity: errors of the steps before the graphs.
        forms: of the rewritten graph; None of a network from elsewhere, which is not rewritten.
    """

    source: OnnxSource | IrSource
    expected: FloatArray
    trial: GraphTrial
    graphs: tuple[MeasuredGraph, ...]
    parity: tuple[StageParity, ...]
    forms: GraphForms | None

    @property
    def reference(self) -> MeasuredGraph:
        """The graph that all others are compared with."""
        return self.graphs[0]


@dataclass(frozen=True, kw_only=True)
class _Origin:
    """The graph that all others are made from, and what the model itself computes."""

    source: OnnxSource | IrSource
    expected: FloatArray
    parity: tuple[StageParity, ...] = ()
    forms: GraphForms | None = None


@dataclass(frozen=True, kw_only=True)
class _Rewritten:
    """The trained model in its form for inference, verified against the trained form."""

    inference: InferenceModel
    expected: FloatArray
    parity: StageParity


def float_graphs(job: ExportJob, teacher: MaskTeacher | None) -> FloatGraphs:
    """Export the model to the float graphs of every back end, score them and compare them with the model.

    Args:
        teacher: trains a foreground head where the recipe needs one that the model does not have.

    Raises:
        ParityError: the rewritten flow or an fp32 graph differs from the trained model.
        DataError: values that are not finite.
    """
    trial = GraphTrial(
        parts=job.parts,
        data=job.data,
        scoring=job.model.scoring(STATISTICS_FILE if job.statistics else None),
        statistics=job.statistics,
        held_out=len(job.data.validation),
        results=job.results,
    )
    if isinstance(job.model, ImportedModel):
        origin = _of_network(job, job.model)
    else:
        origin = _of_trained_model(job, teacher)
    floats = FloatGraphs(
        source=origin.source,
        expected=origin.expected,
        trial=trial,
        graphs=tuple(
            _measured(job, trial, draft, origin.expected)
            for draft in origin.source.drafts(job.spec.backends, ("fp32",))
        ),
        parity=origin.parity,
        forms=origin.forms,
    )
    if isinstance(job.model, ImportedModel):
        require_varying(floats.reference.scored.maps, job.model.path.name)
    return floats


def _of_trained_model(job: ExportJob, teacher: MaskTeacher | None) -> _Origin:
    module = job.module
    if job.model.recipe.foreground.kind in HEADED and module.mask_head is None and teacher:
        module.mask_head = distilled_head(job, teacher)
    rewritten = _rewritten(job)
    return _Origin(
        source=_exported(job, rewritten.inference),
        expected=rewritten.expected,
        parity=(rewritten.parity,),
        forms=rewritten.inference.forms,
    )


def _of_network(job: ExportJob, model: ImportedModel) -> _Origin:
    """The graph of a network from elsewhere, and what its file computes without it."""
    with job.stage("reading the network"):
        source = draft_imported(model, job)
        expected = np.stack(
            [model.maps(images) for images in iterate_images(job.parts[:PARITY_PARTS], job.data)]
        )
    require_finite(expected, job.parts, job.data, model.path.name)
    return _Origin(source=source, expected=expected)


def _rewritten(job: ExportJob) -> _Rewritten:
    """The rewritten model, and the trained model's maps of the first parts."""
    with job.stage("rewriting the flow for inference"):
        size = job.data.preprocessing
        inference = rewrite(job.module, (size.height, size.width))
        first = iterate_images(job.parts[:PARITY_PARTS], job.data)
        expected, rewritten = _both_forms(job.module, inference, first)
        require_finite(expected, job.parts, job.data, "the trained model")
        error = _require_tolerance(job.spec, "the rewritten flow", rewritten, expected)
    parity = StageParity(stage="rewritten flow", measured_error=error, tolerance=job.spec.tolerance_fp32)
    return _Rewritten(inference=inference, expected=expected, parity=parity)


def _exported(job: ExportJob, inference: InferenceModel) -> OnnxSource:
    """The ONNX graph of the rewritten model."""
    size = job.data.preprocessing
    outputs = (MAPS,) if inference.mask_head is None else (MAPS, FOREGROUND)
    example = torch.zeros((len(job.model.views), size.height, size.width, 3), dtype=torch.uint8)
    with job.stage("exporting to ONNX"):
        return draft_onnx(inference, example, outputs, job)


def _measured(
    job: ExportJob, trial: GraphTrial, draft: CandidateGraph, expected: FloatArray
) -> MeasuredGraph:
    with job.stage(f"scoring {len(job.parts)} parts with {draft.id}"):
        scored = trial.score(draft)
    require_finite(scored.maps, job.parts, job.data, draft.id)
    error = verified_error(job.spec, draft, scored.maps, expected, imported=_is_imported(job))
    return MeasuredGraph(draft=draft, scored=scored, error=error)


def _is_imported(job: ExportJob) -> bool:
    return isinstance(job.model, ImportedModel)


def verified_error(
    spec: ExportSpec,
    draft: CandidateGraph,
    maps: FloatArray,
    expected: FloatArray,
    *,
    imported: bool = False,
) -> float:
    """Return the relative error of a float graph's maps against the trained model's maps of the first parts.

    Raises:
        ParityError: the error is over the recipe's tolerance.
    """
    return _require_tolerance(spec, draft.id, maps[: len(expected)], expected, imported=imported)


def _require_tolerance(
    spec: ExportSpec, name: str, maps: FloatArray, expected: FloatArray, *, imported: bool = False
) -> float:
    """Return the relative map error; refuse one that is over the recipe's tolerance."""
    error = largest_error(maps, expected)
    if not error <= spec.tolerance_fp32:
        # A memory of patches finds parts of its own training at a distance of 0, whose root is all rounding.
        hint = "; give good parts that the network was not trained on" if imported else ""
        raise ParityError(
            f"{name}: maps differ from the trained model by {error:.2g}, allowed {spec.tolerance_fp32:g} "
            f"(export.tolerance_fp32); nothing was written{hint}"
        )
    return error


def largest_error(maps: FloatArray, expected: FloatArray) -> float:
    """Return the largest relative error of any part's maps, over the parts that both have."""
    return max(relative_error(a, b) for a, b in zip(maps, expected, strict=False))


def replay_tolerance(spec: ExportSpec, draft: CandidateGraph) -> float:
    """Return the relative error that a replay of a graph on a box may have."""
    return spec.tolerance_fp32 if draft.precision == "fp32" else spec.tolerance_replay


def _both_forms(
    trained: InspectionModel, inference: InferenceModel, parts: Iterable[Images]
) -> tuple[FloatArray, FloatArray]:
    """Maps (n, V, h, w) by the trained flow and by the rewritten one, on the trained extractor's features.

    The extractor is the same in both forms; the exported graph is verified from images to maps.
    """
    by_trained, by_rewritten = [], []
    with torch.inference_mode():
        for images in parts:
            features = trained.features(torch.from_numpy(images))
            by_trained.append(trained.maps(features).numpy())
            by_rewritten.append(inference.flow(features).numpy())
    return np.stack(by_trained), np.stack(by_rewritten)
