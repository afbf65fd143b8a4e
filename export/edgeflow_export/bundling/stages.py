"""The stages of an export after its float graphs: foreground, thresholds, reduced graphs, golden parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from edgeflow.calibration.thresholds import view_subsets
from edgeflow.contracts.manifest import AccuracyReport, GoldenPart, Thresholds
from edgeflow.contracts.scoring import FloatArray, standardise
from edgeflow_export.bundling.float_graphs import (
    PARITY_PARTS,
    FloatGraphs,
    MeasuredGraph,
    replay_tolerance,
    verified_error,
)
from edgeflow_export.bundling.golden_parts import Expected, GraphScores, choose_golden, golden_files
from edgeflow_export.conversion.candidate_graphs import OnnxSource
from edgeflow_export.conversion.imported_graph import IrSource
from edgeflow_export.conversion.job import ExportJob
from edgeflow_export.data.dataset import load_images
from edgeflow_export.data.ground_truth import GroundTruth, load_ground_truth
from edgeflow_export.foreground.build import BuiltForeground
from edgeflow_export.foreground.candidates import export_foreground
from edgeflow_export.imported.imported_model import ImportedModel
from edgeflow_export.masks.teachers import MaskTeacher
from edgeflow_export.quantization.graph_thresholds import graph_thresholds
from edgeflow_export.quantization.ranking_loss import MASK_SIDE
from edgeflow_export.quantization.search import Fp32Reference, reduce_precision
from edgeflow_export.quantization.trial import GraphTrial

__all__ = [
    "ForegroundStage",
    "GoldenParts",
    "ReducedGraphs",
    "foreground",
    "golden_parts",
    "reduced_graphs",
    "thresholds",
]


@dataclass(frozen=True, kw_only=True)
class ForegroundStage:
    """The chosen foreground, and the float graphs with scores that count no background.

    Attributes:
        built: None where every pixel counts.
    """

    floats: FloatGraphs
    built: BuiltForeground | None


@dataclass(frozen=True, kw_only=True)
class ReducedGraphs:
    """The graphs in INT8 or bf16 within budget.

    Attributes:
        accuracy: changes of verdicts, one entry for each graph.
        notes: reasons for back ends without an INT8 graph.
    """

    graphs: tuple[MeasuredGraph, ...]
    accuracy: tuple[AccuracyReport, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class GoldenParts:
    """The golden parts' entries in the manifest, and their files."""

    entries: tuple[GoldenPart, ...]
    files: dict[str, bytes]


def foreground(job: ExportJob, teacher: MaskTeacher | None, floats: FloatGraphs) -> ForegroundStage:
    """Export the foreground that the recipe requests, and cut from the graphs a head that was not chosen.

    Args:
        teacher: None where every pixel counts.
    """
    built = None
    if teacher is not None:
        chosen, built = export_foreground(job, teacher, floats.trial, floats.reference.scored)
        distilled = chosen.kind == "distilled"
        masks = None if built is None else chosen.masks
        trial = replace(floats.trial, masks=masks, distilled=distilled)
        rescored = []
        for graph in floats.graphs:
            own = graph.scored.own_masks
            scored = trial.scored(graph.scored.maps, own if distilled else masks, own)
            rescored.append(replace(graph, scored=scored))
        floats = replace(floats, trial=trial, graphs=tuple(rescored))
    source = floats.source
    if isinstance(source, OnnxSource) and len(source.tensors.outputs) > 1 and not floats.trial.distilled:
        floats = _cut(job, floats, source.cut())
    return ForegroundStage(floats=floats, built=built)


def _cut(job: ExportJob, floats: FloatGraphs, source: OnnxSource) -> FloatGraphs:
    """Graphs without the foreground head: their errors are measured again, their scores still hold.

    Args:
        source: without the head.
    """
    drafts = source.drafts(job.spec.backends, ("fp32",))
    first = replace(floats.trial, parts=job.parts[:PARITY_PARTS], masks=None)
    graphs = []
    with job.stage("cutting the foreground head that was not chosen"):
        for draft, graph in zip(drafts, floats.graphs, strict=True):
            error = verified_error(job.spec, draft, first.score(draft).maps, floats.expected)
            graphs.append(replace(graph, draft=draft, error=error))
    return replace(floats, source=source, graphs=tuple(graphs))


def thresholds(job: ExportJob, trial: GraphTrial, graph: MeasuredGraph) -> Thresholds:
    """One graph's thresholds, from its own scores of the held-out normal parts, whole and without views."""
    missing = view_subsets(job.model.views, job.model.recipe.thresholds.missing_views)
    subsets = {}
    if missing:
        normal = len(job.data.validation)
        name = f"scoring {normal} parts without some views, {len(missing)} times, with {graph.draft.id}"
        with job.stage(name):
            subsets = trial.score_subsets(graph.draft, normal, missing)
    return graph_thresholds(job, graph.scored, subsets)


def reduced_graphs(job: ExportJob, floats: FloatGraphs, limits: Thresholds) -> ReducedGraphs:
    """The graphs of every back end in INT8 and bf16 that hold the recipe's budgets, where it asks for them.

    Args:
        limits: the reference's.

    Raises:
        AccuracyError: no INT8 graph holds the budgets, and the recipe requires one.
    """
    graphs: list[MeasuredGraph] = []
    accuracy: list[AccuracyReport] = []
    source = floats.source
    notes = [*source.notes(job.spec.backends)] if isinstance(source, IrSource) else []
    asked = set(job.spec.precisions) - {"fp32"}
    truth = _truth(job) if asked else None
    for graph in floats.graphs if asked else ():
        reference = Fp32Reference(
            draft=graph.draft, scored=floats.reference.scored, scale=limits.part, truth=truth
        )
        found, note = reduce_precision(job, source, graph.draft.backend, floats.trial, reference)
        notes += [note] if note else []
        for reduced in found:
            error = reduced.report.map_error or 0.0
            graphs.append(MeasuredGraph(draft=reduced.draft, scored=reduced.scored, error=error))
            accuracy.append(reduced.report)
    return ReducedGraphs(graphs=tuple(graphs), accuracy=tuple(accuracy), notes=tuple(notes))


def _truth(job: ExportJob) -> GroundTruth | None:
    """The masks of the test parts' defects; None where not every defective part has some."""
    test = job.data.test
    if not any(part.defective for part in test) or any(part.defective is None for part in test):
        return None
    if not all(any(part.masks.values()) for part in test if part.defective):
        return None
    return load_ground_truth(job.data, (MASK_SIDE, MASK_SIDE))


def golden_parts(
    job: ExportJob,
    graphs: Sequence[MeasuredGraph],
    limits: Mapping[str, Thresholds],
    expected: FloatArray,
) -> GoldenParts:
    """Record the golden parts: their images, and the results of the trained model and of every graph.

    Args:
        graphs: all graphs of the bundle, the reference first.
        limits: graph → its thresholds.
        expected: the trained model's maps (n, V, h, w) of the first parts.
    """
    reference = graphs[0].scored
    entries: list[GoldenPart] = []
    files: dict[str, bytes] = {}
    with job.stage("recording golden parts"):
        chosen = choose_golden(
            [
                GraphScores(
                    parts=graph.scored.parts,
                    tolerances=_score_tolerance(job, graph),
                    scale=limits[graph.draft.id].part,
                )
                for graph in graphs
            ],
            job.spec.golden_parts,
        )
        for number, index in enumerate(chosen):
            result = Expected(
                maps=expected[index] if index < len(expected) else _maps_by_model(job, index),
                recorded={g.draft.id: g.scored.maps[index] for g in graphs if g.draft.precision != "fp32"},
                part=float(reference.parts[index]),
                masks=None if reference.masks is None else reference.masks[index],
            )
            entry, content = golden_files(number, job.parts[index], job.model.views, result)
            entries.append(entry)
            files |= content
    return GoldenParts(entries=tuple(entries), files=files)


def _score_tolerance(job: ExportJob, graph: MeasuredGraph) -> FloatArray:
    """Return the allowed deviation of raw part scores (n,) between this processor and another one."""
    pooled, scoring = standardise(graph.scored.maps, job.statistics), job.model.scoring()
    allowed = 2 * replay_tolerance(job.spec, graph.draft) * scoring.sensitivity
    return np.asarray(allowed * np.abs(pooled).max((1, 2, 3)), np.float32)


def _maps_by_model(job: ExportJob, index: int) -> FloatArray:
    """Maps (V, h, w) of one part by the trained model, or by the file of a network from elsewhere."""
    images = load_images(job.parts[index], job.data)
    if isinstance(job.model, ImportedModel):
        return job.model.maps(images)
    with torch.inference_mode():
        maps = job.module(torch.from_numpy(images))
    found: FloatArray = maps.numpy()
    return found
