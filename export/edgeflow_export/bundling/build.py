"""Checkpoint to bundle: rewritten, exported, quantized, calibrated, guarded, written and replayed."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from edgeflow import __version__
from edgeflow.bundles.writer import file_records
from edgeflow.calibration.thresholds import calibrate, view_subsets
from edgeflow.contracts.manifest import (
    REPORT_NAME,
    SCHEMA_VERSION,
    AccuracyReport,
    GoldenPart,
    Graph,
    Manifest,
    StageParity,
    Thresholds,
)
from edgeflow.contracts.parity import relative_error
from edgeflow.contracts.scoring import FloatArray, PixelStatistics, standardise
from edgeflow.errors import AccuracyError, DataError, ParityError
from edgeflow.temporary_folder import temporary_folder
from edgeflow_export.bundling.golden_parts import Expected, choose_golden, golden_files
from edgeflow_export.bundling.memory_check import check_memory
from edgeflow_export.bundling.release import Built, Release, write_verified
from edgeflow_export.checkpoints.checkpoint import TrainedModel
from edgeflow_export.conversion.candidate_graphs import CandidateGraph, OnnxSource, draft_onnx
from edgeflow_export.conversion.job import ExportJob, Stage
from edgeflow_export.conversion.onnx_and_ir import FOREGROUND, MAPS
from edgeflow_export.conversion.rewrite import InferenceModel, rewrite
from edgeflow_export.conversion.stage_results import StageResults
from edgeflow_export.data.dataset import (
    HELD_OUT_AT_LEAST,
    Dataset,
    Images,
    iterate_images,
    load_images,
    require_training_parts,
)
from edgeflow_export.foreground.build import BuiltForeground
from edgeflow_export.foreground.candidates import distilled_head, export_foreground
from edgeflow_export.foreground.reduced_precision import require_bf16
from edgeflow_export.masks.teachers import MaskTeacher, load_teacher
from edgeflow_export.models.inspection_model import InspectionModel
from edgeflow_export.models.multiflow import nll_map
from edgeflow_export.quantization.accuracy_guard import Scored, require_recall
from edgeflow_export.quantization.search import Fp32Reference, reduce_precision
from edgeflow_export.quantization.trial import GraphTrial, require_finite
from edgeflow_export.recipe import HEADED
from edgeflow_export.report.page import ReportContent, report_page

__all__ = ["build_bundle"]

STATISTICS_FILE = "scoring/pixel_statistics.npz"
PARITY_PARTS = 2
# Where files lie on the workstation is nobody else's business.
PRIVATE = {
    "data": {"root"},
    "foreground": {"weights", "masks"},
    "extractor": {"weights"},
    "training": {"initial"},
}


def build_bundle(
    model: TrainedModel,
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
        ignore_memory: begin even where the memory at hand will not do.
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
    require_training_parts(data, 1)
    if len(data.validation) < HELD_OUT_AT_LEAST:
        raise DataError(
            f"{data.root}: {len(data.validation)} held-out normal part; thresholds need at least "
            f"{HELD_OUT_AT_LEAST}, and hundreds are better: record more normal parts"
        )
    # Better refused now than in an hour.
    view_subsets(model.views, model.recipe.thresholds.missing_views)
    for key, wanted in (
        ("export.precisions", model.recipe.export.precisions),
        ("foreground.precision", (model.recipe.foreground.precision,)),
    ):
        if "bf16" in wanted:
            require_bf16(key)
    with temporary_folder() as folder:
        teacher = load_teacher(model.recipe.foreground, device=device)
        job = ExportJob(model=model, data=data, stage=stage, folder=folder, results=results or StageResults())
        check_memory(job, teacher, ignore=ignore_memory)
        build = _Build(job, teacher, accept_low_recall=accept_low_recall)
        return build.run(output, release or Release())


class _Build:
    """One export, with all that its steps share."""

    def __init__(self, job: ExportJob, teacher: MaskTeacher | None, *, accept_low_recall: bool) -> None:
        self.job = job
        self.accept_low_recall = accept_low_recall
        self.model, self.data, self.stage = job.model, job.data, job.stage
        self.spec, self.parts = job.spec, job.parts
        self.teacher = teacher
        self._torch_maps: dict[int, FloatArray] = {}
        self.drafts: list[CandidateGraph] = []
        self.scored: dict[str, Scored] = {}
        self.errors: dict[str, float] = {}
        self.parity: list[StageParity] = []
        self.foreground: BuiltForeground | None = None
        self.trial = GraphTrial(
            parts=self.parts,
            data=self.data,
            scoring=self.model.recipe.scoring.scoring(STATISTICS_FILE if job.statistics else None),
            statistics=job.statistics,
            held_out=len(self.data.validation),
            results=job.results,
        )

    def run(self, output: Path, release: Release) -> Built:
        source, expected = self._exported()
        self._add_float_graphs(source, expected)
        if self.teacher is not None:
            self._add_foreground(self.teacher)
        if len(source.tensors.outputs) > 1 and not self.trial.distilled:
            source = self._cut(source, expected)
        reference = self.scored[self.drafts[0].id]
        thresholds = self._thresholds(self.trial, self.drafts[0], reference)
        if not self.accept_low_recall:
            require_recall(thresholds, self.spec.min_recall)
        accuracy, notes = self._add_reduced_graphs(source, expected, reference, thresholds)
        files = {name: content for draft in self.drafts for name, content in draft.files.items()}
        if self.foreground is not None:
            files |= self.foreground.files
        with self.stage("recording golden parts"):
            golden, golden_content = self._golden(self.scored, thresholds)
            files |= golden_content
        if self.job.statistics is not None:
            files[STATISTICS_FILE] = _statistics_bytes(self.job.statistics)
        manifest = self._manifest(files, thresholds, golden, (accuracy, notes), release)
        with self.stage("drawing the report"):
            content = ReportContent(
                manifest=manifest, scored=self.scored, trial=self.trial, normal=len(self.data.validation)
            )
            files[REPORT_NAME] = report_page(content)
        manifest = manifest.model_copy(update={"files": file_records(files)})
        return write_verified(output, manifest, files, self.stage, release)

    def _manifest(
        self,
        files: Mapping[str, bytes],
        thresholds: Thresholds,
        golden: tuple[GoldenPart, ...],
        reduced: tuple[tuple[AccuracyReport, ...], tuple[str, ...]],
        release: Release,
    ) -> Manifest:
        accuracy, notes = reduced
        return Manifest(
            schema_version=SCHEMA_VERSION,
            name=self.model.recipe.name,
            created_by=f"edgeflow {__version__}",
            version=release.version,
            device_class=release.device_class,
            expires=release.expires,
            views=self.data.views,
            preprocessing=self.data.preprocessing,
            graphs=self._entries(),
            foreground=self.foreground.entry if self.foreground is not None else None,
            scoring=self.trial.scoring,
            thresholds=thresholds,
            golden=golden,
            parity=tuple(self.parity),
            accuracy=accuracy,
            notes=notes,
            recipe=json.loads(self.model.recipe.model_dump_json(exclude=PRIVATE)),
            provenance=self.model.provenance,
            files=file_records(files),
        )

    def _add_float_graphs(self, source: OnnxSource, expected: FloatArray) -> None:
        """The graphs of every back end, scored and compared with torch; the first is the reference."""
        self.drafts += source.drafts(self.spec.backends, self.spec.precisions)
        for draft in self.drafts:
            with self.stage(f"scoring {len(self.parts)} parts with {draft.id}"):
                self.scored[draft.id] = self.trial.score(draft)
            require_finite(self.scored[draft.id].maps, self.parts, self.data, draft.id)
            self.errors[draft.id] = self._verified_error(draft, self.scored[draft.id].maps, expected)

    def _add_foreground(self, teacher: MaskTeacher) -> None:
        """The foreground that the recipe asks for; scores count no background from here on."""
        reference = self.scored[self.drafts[0].id]
        chosen, self.foreground = export_foreground(self.job, teacher, self.trial, reference)
        distilled = chosen.kind == "distilled"
        masks = None if self.foreground is None else chosen.masks
        self.trial = replace(self.trial, masks=masks, distilled=distilled)
        self.scored = {
            name: self.trial.scored(got.maps, got.own_masks if distilled else masks, got.own_masks)
            for name, got in self.scored.items()
        }

    def _cut(self, source: OnnxSource, expected: FloatArray) -> OnnxSource:
        """Graphs without the foreground head that was not chosen: proven anew; their scores still hold."""
        cut = source.cut()
        self.drafts = cut.drafts(self.spec.backends, self.spec.precisions)
        first = replace(self.trial, parts=self.parts[:PARITY_PARTS], masks=None)
        with self.stage("cutting the foreground head that was not chosen"):
            for draft in self.drafts:
                self.errors[draft.id] = self._verified_error(draft, first.score(draft).maps, expected)
        return cut

    def _add_reduced_graphs(
        self, source: OnnxSource, expected: FloatArray, reference: Scored, thresholds: Thresholds
    ) -> tuple[tuple[AccuracyReport, ...], tuple[str, ...]]:
        """INT8 graphs within budget, what they do to verdicts, and why one may be missing."""
        floats = {draft.backend: draft for draft in self.drafts if draft.precision == "fp32"}
        accuracy: list[AccuracyReport] = []
        notes: list[str] = []
        for backend in self.spec.backends if "int8" in self.spec.precisions else ():
            fp32 = Fp32Reference(
                draft=floats[backend], scored=reference, expected=expected, scale=thresholds.part
            )
            found, note = reduce_precision(self.job, source, backend, self.trial, fp32)
            notes += [note] if note else []
            if found is not None:
                self.drafts.append(found.draft)
                self.scored[found.draft.id] = found.scored
                self.errors[found.draft.id] = self._error(found.scored.maps, expected)
                accuracy.append(found.report)
        return tuple(accuracy), tuple(notes)

    def _entries(self) -> tuple[Graph, ...]:
        return tuple(
            draft.entry(
                error=self.errors[draft.id],
                tolerance=self._replay_tolerance(draft),
                with_mask=self.trial.distilled,
            )
            for draft in self.drafts
        )

    def _exported(self) -> tuple[OnnxSource, FloatArray]:
        """The ONNX graph of the rewritten model, and what torch computes for the first parts."""
        size = self.data.preprocessing
        if (
            self.model.recipe.foreground.kind in HEADED
            and self.model.module.mask_head is None
            and self.teacher
        ):
            self.model.module.mask_head = distilled_head(self.job, self.teacher)
        with self.stage("rewriting the flow for inference"):
            inference = rewrite(self.model.module)
            first = iterate_images(self.parts[:PARITY_PARTS], self.data)
            expected, rewritten = _both_forms(self.model.module, inference, first)
            require_finite(expected, self.parts, self.data, "the trained model")
            error = self._require_tolerance("the rewritten flow", rewritten, expected, "fp32")
            self.parity.append(
                StageParity(stage="rewritten flow", measured_error=error, tolerance=self.spec.tolerance_fp32)
            )
            self._torch_maps = dict(enumerate(expected))
        outputs = (MAPS,) if inference.mask_head is None else (MAPS, FOREGROUND)
        example = torch.zeros((len(self.model.views), size.height, size.width, 3), dtype=torch.uint8)
        with self.stage("exporting to ONNX"):
            return draft_onnx(inference, example, outputs, self.job), expected

    def _thresholds(self, trial: GraphTrial, draft: CandidateGraph, reference: Scored) -> Thresholds:
        """From the held-out normal parts, with the operating curve where test parts are labelled."""
        spec, normal, ids = self.model.recipe.thresholds, len(self.data.validation), self.model.views
        missing = view_subsets(ids, spec.missing_views)
        subsets = {}
        if missing:
            with self.stage(f"scoring {normal} parts without some views, {len(missing)} times"):
                subsets = trial.score_subsets(draft, normal, missing)
        labels = reference.defective
        tested = None if labels is None else ~labels[normal:]
        return calibrate(
            reference.parts[:normal],
            reference.views[:normal],
            ids,
            spec.false_reject_rate,
            method=spec.method,
            subsets=subsets,
            defective=reference.parts[labels] if labels is not None and labels.any() else None,
            normal=None if tested is None or not tested.any() else reference.parts[normal:][tested],
            tolerance=self.spec.tolerance_fp32,
        )

    def _golden(
        self, scored: Mapping[str, Scored], thresholds: Thresholds
    ) -> tuple[tuple[GoldenPart, ...], dict[str, bytes]]:
        """Manifest entries and files of the golden parts."""
        reference = next(iter(scored.values()))
        entries: list[GoldenPart] = []
        files: dict[str, bytes] = {}
        chosen = choose_golden(
            [got.parts for got in scored.values()],
            [self._score_tolerance(name, got.maps) for name, got in scored.items()],
            thresholds.part,
            self.spec.golden_parts,
        )
        for number, index in enumerate(chosen):
            expected = Expected(
                maps=self._maps_by_torch(index),
                recorded={name: s.maps[index] for name, s in scored.items() if not name.endswith("fp32")},
                part=float(reference.parts[index]),
                masks=None if reference.masks is None else reference.masks[index],
            )
            entry, content = golden_files(number, self.parts[index], self.model.views, expected)
            entries.append(entry)
            files |= content
        return tuple(entries), files

    def _score_tolerance(self, name: str, maps: FloatArray) -> FloatArray:
        """Return how far another processor's raw part scores (n,) may lie from those of a graph."""
        draft = next(draft for draft in self.drafts if draft.id == name)
        pooled = standardise(maps, self.job.statistics)
        return np.asarray(2 * self._replay_tolerance(draft) * np.abs(pooled).max((1, 2, 3)), np.float32)

    def _maps_by_torch(self, index: int) -> FloatArray:
        """Maps (V, h, w) of one part by the trained model."""
        if index not in self._torch_maps:
            with torch.inference_mode():
                maps = self.model.module(torch.from_numpy(load_images(self.parts[index], self.data)))
            self._torch_maps[index] = maps.numpy()
        return self._torch_maps[index]

    def _verified_error(self, draft: CandidateGraph, maps: FloatArray, expected: FloatArray) -> float:
        return self._require_tolerance(draft.id, maps[: len(expected)], expected, draft.precision)

    def _require_tolerance(self, name: str, maps: FloatArray, expected: FloatArray, precision: str) -> float:
        """The relative map error, refused where it is over the recipe's tolerance."""
        error = self._error(maps, expected)
        allowed = self.spec.tolerance_fp32 if precision == "fp32" else self.spec.tolerance_int8
        if not error <= allowed:
            kind = ParityError if precision == "fp32" else AccuracyError
            key = "tolerance_fp32" if precision == "fp32" else "tolerance_int8"
            raise kind(
                f"{name}: maps differ from the trained model by {error:.2g}, allowed {allowed:g} "
                f"(export.{key}); nothing was written"
            )
        return error

    @staticmethod
    def _error(maps: FloatArray, expected: FloatArray) -> float:
        """The largest relative error of any part's maps."""
        return max(relative_error(a, b) for a, b in zip(maps, expected, strict=False))

    def _replay_tolerance(self, draft: CandidateGraph) -> float:
        return self.spec.tolerance_fp32 if draft.precision == "fp32" else self.spec.tolerance_replay


def _both_forms(
    trained: InspectionModel, inference: InferenceModel, parts: Iterable[Images]
) -> tuple[FloatArray, FloatArray]:
    """Maps (n, V, h, w) by the trained flow and by the rewritten one, on the trained extractor's features.

    The extractor is the same in both forms; the exported graph is proven from images to maps.
    """
    by_trained, by_rewritten = [], []
    with torch.inference_mode():
        for images in parts:
            features = trained.features(torch.from_numpy(images))
            by_trained.append(nll_map(trained.flow(features.unsqueeze(0)))[0].numpy())
            by_rewritten.append(inference.flow(features).numpy())
    return np.stack(by_trained), np.stack(by_rewritten)


def _statistics_bytes(statistics: PixelStatistics) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, mean=statistics.mean, std=statistics.std)
    return buffer.getvalue()
