"""Checkpoint to bundle: rewritten, exported, quantized, calibrated, guarded, written and replayed."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeflow import __version__
from edgeflow.bundles.writer import file_records
from edgeflow.calibration.thresholds import view_subsets
from edgeflow.contracts.manifest import REPORT_NAME, SCHEMA_VERSION, Graph, Manifest, Thresholds
from edgeflow.contracts.scoring import PixelStatistics
from edgeflow.errors import DataError
from edgeflow.temporary_folder import temporary_folder
from edgeflow_export.bundling.float_graphs import (
    STATISTICS_FILE,
    FloatGraphs,
    MeasuredGraph,
    float_graphs,
    replay_tolerance,
)
from edgeflow_export.bundling.memory_check import check_memory
from edgeflow_export.bundling.release import Built, Release, write_verified
from edgeflow_export.bundling.stages import (
    GoldenParts,
    ReducedGraphs,
    foreground,
    golden_parts,
    reduced_graphs,
    thresholds,
)
from edgeflow_export.checkpoints.checkpoint import TrainedModel
from edgeflow_export.conversion.job import ExportJob, Stage
from edgeflow_export.conversion.stage_results import StageResults
from edgeflow_export.data.dataset import Dataset, require_training_parts
from edgeflow_export.data.splitting import HELD_OUT_AT_LEAST
from edgeflow_export.foreground.build import BuiltForeground
from edgeflow_export.foreground.reduced_precision import require_bf16
from edgeflow_export.imported.imported_model import ImportedModel
from edgeflow_export.masks.teachers import load_teacher
from edgeflow_export.quantization.accuracy_guard import require_recall
from edgeflow_export.report.page import ReportContent, report_page

__all__ = ["build_bundle"]

GRAPH_FORMS = "graph_forms"
"""In the manifest's provenance: the form that a rule over shapes chose for each part of the graphs."""
# The folders of the workstation stay out of the bundle.
PRIVATE = {
    "data": {"root"},
    "foreground": {"weights", "masks"},
    "extractor": {"weights"},
    "training": {"initial"},
    "network": {"file"},
}


@dataclass(frozen=True, kw_only=True)
class _Stages:
    """The results of all stages of one export.

    Attributes:
        thresholds: graph → its thresholds; the reference first.
    """

    floats: FloatGraphs
    foreground: BuiltForeground | None
    thresholds: dict[str, Thresholds]
    reduced: ReducedGraphs
    golden: GoldenParts

    @property
    def graphs(self) -> tuple[MeasuredGraph, ...]:
        """All graphs of the bundle, the reference first."""
        return (*self.floats.graphs, *self.reduced.graphs)


def build_bundle(
    model: TrainedModel | ImportedModel,
    data: Dataset,
    output: Path,
    stage: Stage,
    *,
    device: str = "cpu",
    release: Release | None = None,
    results: StageResults | None = None,
    ignore_memory: bool = False,
    accept_low_recall: bool = False,
) -> Built:
    """Export a trained model.

    Args:
        device: torch device that computes the foreground masks of the parts.
        release: default: version 0, for any box, unsigned.
        ignore_memory: begin even where there is too little memory.
        accept_low_recall: write even a bundle that lets most labelled defective parts pass.
        results: of an interrupted export, to go on from; default: none are taken over, none kept.

    Raises:
        ParityError: a float graph does not compute what the model computes.
        ConfigError: bf16 on a processor that does not compute in it.
        AccuracyError: the recall is surely below the recipe's ``min_recall``; or no INT8 graph holds the
            recipe's budgets, though the recipe requires one.
        DataError: no held-out normal parts to set thresholds with.
        StorageError: the bundle cannot be written.
        HardwareError: it needs more memory than there is.
    """
    _require_exportable(model, data)
    with temporary_folder() as folder:
        teacher = load_teacher(model.recipe.foreground, device=device)
        job = ExportJob(model=model, data=data, stage=stage, folder=folder, results=results or StageResults())
        check_memory(job, teacher, ignore=ignore_memory)
        floats = float_graphs(job, teacher)
        chosen = foreground(job, teacher, floats)
        floats = chosen.floats
        limits = {graph.draft.id: thresholds(job, floats.trial, graph) for graph in floats.graphs}
        if not accept_low_recall:
            require_recall(limits[floats.reference.draft.id], job.spec.min_recall)
        reduced = reduced_graphs(job, floats, limits[floats.reference.draft.id])
        limits |= {graph.draft.id: thresholds(job, floats.trial, graph) for graph in reduced.graphs}
        golden = golden_parts(job, (*floats.graphs, *reduced.graphs), limits, floats.expected)
        stages = _Stages(
            floats=floats, foreground=chosen.built, thresholds=limits, reduced=reduced, golden=golden
        )
        return _write(job, stages, output, release or Release())


def _require_exportable(model: TrainedModel | ImportedModel, data: Dataset) -> None:
    """Refuse at the start what would fail only after an hour."""
    require_training_parts(data, 1)
    if len(data.validation) < HELD_OUT_AT_LEAST:
        raise DataError(
            f"{data.root}: {len(data.validation)} held-out normal part; thresholds need at least "
            f"{HELD_OUT_AT_LEAST}, and hundreds are better: record more normal parts"
        )
    view_subsets(model.views, model.recipe.thresholds.missing_views)
    for key, precisions in (
        ("export.precisions", model.recipe.export.precisions),
        ("foreground.precision", (model.recipe.foreground.precision,)),
    ):
        if "bf16" in precisions:
            require_bf16(key)


def _write(job: ExportJob, stages: _Stages, output: Path, release: Release) -> Built:
    """Write the bundle with its manifest and its report, and verify the file."""
    files = _files(job, stages)
    manifest = _manifest(job, stages, files, release)
    with job.stage("drawing the report"):
        content = ReportContent(
            manifest=manifest,
            scored={graph.draft.id: graph.scored for graph in stages.graphs},
            trial=stages.floats.trial,
            normal=len(job.data.validation),
        )
        files[REPORT_NAME] = report_page(content)
    manifest = manifest.model_copy(update={"files": file_records(files)})
    return write_verified(output, manifest, files, job.stage, release)


def _files(job: ExportJob, stages: _Stages) -> dict[str, bytes]:
    """The files of the bundle, without the manifest and the report."""
    files = {name: content for graph in stages.graphs for name, content in graph.draft.files.items()}
    if stages.foreground is not None:
        files |= stages.foreground.files
    files |= stages.golden.files
    if job.statistics is not None:
        files[STATISTICS_FILE] = _statistics_bytes(job.statistics)
    return files


def _manifest(job: ExportJob, stages: _Stages, files: Mapping[str, bytes], release: Release) -> Manifest:
    model, data = job.model, job.data
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name=model.recipe.name,
        created_by=f"edgeflow {__version__}",
        version=release.version,
        device_class=release.device_class,
        expires=release.expires,
        views=data.views,
        preprocessing=data.preprocessing,
        graphs=_entries(job, stages),
        foreground=stages.foreground.entry if stages.foreground is not None else None,
        scoring=stages.floats.trial.scoring,
        thresholds=stages.thresholds[stages.graphs[0].draft.id],
        graph_thresholds=stages.thresholds,
        golden=stages.golden.entries,
        parity=stages.floats.parity,
        accuracy=stages.reduced.accuracy,
        notes=stages.reduced.notes,
        recipe=json.loads(model.recipe.model_dump_json(exclude=PRIVATE)),
        provenance=_provenance(job, stages),
        files=file_records(files),
    )


def _provenance(job: ExportJob, stages: _Stages) -> dict[str, str]:
    forms = stages.floats.forms
    return job.model.provenance | ({} if forms is None else {GRAPH_FORMS: forms.described()})


def _entries(job: ExportJob, stages: _Stages) -> tuple[Graph, ...]:
    return tuple(
        graph.draft.entry(
            error=graph.error,
            tolerance=replay_tolerance(job.spec, graph.draft),
            with_mask=stages.floats.trial.distilled,
        )
        for graph in stages.graphs
    )


def _statistics_bytes(statistics: PixelStatistics) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, mean=statistics.mean, std=statistics.std)
    return buffer.getvalue()
