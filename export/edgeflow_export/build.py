"""Checkpoint to bundle: rewritten, exported, quantized, calibrated, guarded, written and replayed."""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from edgeflow import __version__
from edgeflow.backends.table import make_runner
from edgeflow.bundle import Bundle
from edgeflow.contracts.manifest import (
    SCHEMA_VERSION,
    AccuracyReport,
    GoldenPart,
    Graph,
    Manifest,
    Scale,
    Tensor,
    Thresholds,
)
from edgeflow.contracts.parity import relative_error
from edgeflow.contracts.parts import RecordedPart
from edgeflow.contracts.scoring import FloatArray, PixelStatistics, part_score, standardise, view_scores
from edgeflow.errors import AccuracyError, ParityError
from edgeflow.verification import verify_graph
from edgeflow_export.bundle_writer import file_records, write_bundle
from edgeflow_export.calibrate import calibrate
from edgeflow_export.checkpoints import TrainedModel
from edgeflow_export.datasets import Dataset, Images, iterate_images, load_images, require_training_parts
from edgeflow_export.golden import Expected, choose_golden, golden_files
from edgeflow_export.graphs import Ir, convert_to_ir, export_onnx, serialise_ir
from edgeflow_export.guard import Scored, compare
from edgeflow_export.quantize import LEVELS, quantize_ir, quantize_onnx
from edgeflow_export.recipe import ExportSpec
from edgeflow_export.rewrite import InferenceModel, rewrite

__all__ = ["Built", "Stage", "build_bundle"]

Stage = Callable[[str], AbstractContextManager[None]]
"""Shows the name of a step while the step runs."""

STATISTICS_FILE = "scoring/pixel_statistics.npz"
ONNX_FILE = "model.onnx"
PARITY_PARTS = 4


@dataclass(frozen=True, kw_only=True)
class Built:
    """A written bundle and what was found on the way."""

    path: Path
    size: int
    sha256: str
    graphs: tuple[Graph, ...]
    thresholds: Thresholds
    accuracy: tuple[AccuracyReport, ...]


@dataclass(frozen=True, kw_only=True)
class _Drafted:
    """A graph before its entry in the manifest can be written."""

    backend: str
    precision: str
    files: dict[str, bytes]

    @property
    def id(self) -> str:
        return f"{self.backend}-{self.precision}"


def build_bundle(model: TrainedModel, data: Dataset, output: Path, stage: Stage) -> Built:
    """Export a trained model.

    Raises:
        ParityError: a float graph does not compute what the model computes.
        AccuracyError: an INT8 graph changes verdicts or maps beyond the recipe's budget.
        DataError: no held-out normal parts to set thresholds with.
        StorageError: the bundle cannot be written.
    """
    require_training_parts(data, 1)
    spec = model.recipe.export
    parts = (*data.validation, *data.test)
    with stage("rewriting the flow for inference"):
        inference = rewrite(model.module)
        first = list(iterate_images(parts[:PARITY_PARTS], data))
        expected = _torch_maps(model.module, first)
        _prove("the rewritten model", _torch_maps(inference, first), expected, spec)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        drafts, tensors = _float_graphs(model, data, inference, folder, stage)
        scored = {draft.id: _score(model, data, draft, tensors, stage) for draft in drafts}
        reference = scored[drafts[0].id]
        thresholds = _thresholds(model, reference, len(data.validation))
        errors = {name: _prove(name, got.maps[: len(first)], expected, spec) for name, got in scored.items()}
        accuracy: list[AccuracyReport] = []
        for backend in spec.backends if "int8" in spec.precisions else ():
            draft, got, report, error = _int8_graph(
                model, data, backend, tensors, folder, (reference, expected), thresholds.part, stage
            )
            drafts.append(draft)
            scored[draft.id], errors[draft.id] = got, error
            accuracy.append(report)
    files = {name: content for draft in drafts for name, content in draft.files.items()}
    with stage("recording golden parts"):
        golden, golden_content = _golden(model, data, scored, thresholds)
        files |= golden_content
    if model.recipe.scoring.pixel_statistics and model.statistics is not None:
        files[STATISTICS_FILE] = _statistics_bytes(model.statistics)
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        name=model.recipe.name,
        created_by=f"edgeflow {__version__}",
        views=data.views,
        preprocessing=data.preprocessing,
        graphs=tuple(_entry(draft, tensors, errors[draft.id], spec) for draft in drafts),
        scoring=model.recipe.scoring.scoring(STATISTICS_FILE if STATISTICS_FILE in files else None),
        thresholds=thresholds,
        golden=golden,
        accuracy=tuple(accuracy),
        recipe=json.loads(model.recipe.model_dump_json(exclude={"data": {"root"}})),
        provenance=model.provenance,
        files=file_records(files),
    )
    return _write_proven(output, manifest, files, stage)


def _golden(
    model: TrainedModel, data: Dataset, scored: Mapping[str, Scored], thresholds: Thresholds
) -> tuple[tuple[GoldenPart, ...], dict[str, bytes]]:
    """Manifest entries and files of the golden parts."""
    parts = (*data.validation, *data.test)
    reference = next(iter(scored.values()))
    entries: list[GoldenPart] = []
    files: dict[str, bytes] = {}
    for number, index in enumerate(
        choose_golden(reference.parts, thresholds.part, model.recipe.export.golden_parts)
    ):
        maps = _torch_maps(model.module, [load_images(parts[index], data)])
        _, score = _scores(model, maps)
        recorded = {name: got.maps[index] for name, got in scored.items() if name.endswith("int8")}
        expected = Expected(maps=maps[0], recorded=recorded, part=float(score[0]))
        entry, content = golden_files(number, parts[index], model.views, expected)
        entries.append(entry)
        files |= content
    return tuple(entries), files


def _float_graphs(
    model: TrainedModel, data: Dataset, inference: InferenceModel, folder: Path, stage: Stage
) -> tuple[list[_Drafted], tuple[Tensor, Tensor]]:
    """The fp32 graphs; the first is the reference of all others."""
    size = data.preprocessing
    onnx_path = folder / ONNX_FILE
    with stage("exporting to ONNX"):
        tensors = export_onnx(
            inference, views=len(model.views), height=size.height, width=size.width, path=onnx_path
        )
    drafts = []
    if "openvino" in model.recipe.export.backends:
        with stage("converting to OpenVINO IR, fp32"):
            drafts.append(_ir_draft("fp32", serialise_ir(convert_to_ir(onnx_path), folder)))
    if "onnxruntime" in model.recipe.export.backends:
        drafts.append(_Drafted(backend="onnxruntime", precision="fp32", files=_onnx_file("fp32", onnx_path)))
    return drafts, tensors


def _int8_graph(
    model: TrainedModel,
    data: Dataset,
    backend: str,
    tensors: tuple[Tensor, Tensor],
    folder: Path,
    fp32: tuple[Scored, FloatArray],
    scale: Scale,
    stage: Stage,
) -> tuple[_Drafted, Scored, AccuracyReport, float]:
    """The INT8 graph of one back end with as much quantized as the budgets allow.

    Raises:
        AccuracyError: even the least quantization is over budget.
    """
    spec = model.recipe.export
    reference, expected = fp32
    flow = sum(2 * (1 + len(model.views)) for _ in model.recipe.flow.kernels)
    failure: AccuracyError | None = None
    for level in LEVELS:
        with stage(f"quantizing {level} for {backend}"):
            parts = iterate_images(data.training[: spec.calibration_parts], data)
            draft = _quantized(backend, folder, parts, level, flow)
        got = _score(model, data, draft, tensors, stage)
        try:
            error = _prove(draft.id, got.maps[: len(expected)], expected, spec)
            return draft, got, compare(f"{draft.id}", got, reference, scale, spec, level), error
        except AccuracyError as cause:
            failure = cause
            with stage(f"over budget: {cause.problems[0] if cause.problems else cause.message}"):
                pass
    assert failure is not None  # noqa: S101 - there is at least one level
    raise failure


def _quantized(backend: str, folder: Path, parts: Iterable[Images], level: str, flow: int) -> _Drafted:
    onnx_path = folder / ONNX_FILE
    if backend == "openvino":
        return _ir_draft(
            "int8", serialise_ir(quantize_ir(convert_to_ir(onnx_path), parts, level, flow), folder)
        )
    target = folder / "int8.onnx"
    quantize_onnx(onnx_path, target, parts, level, flow)
    return _Drafted(backend="onnxruntime", precision="int8", files=_onnx_file("int8", target))


def _ir_draft(precision: str, ir: Ir) -> _Drafted:
    files = {f"openvino/{precision}.xml": ir.xml, f"openvino/{precision}.bin": ir.weights}
    return _Drafted(backend="openvino", precision=precision, files=files)


def _onnx_file(precision: str, path: Path) -> dict[str, bytes]:
    return {f"onnx/{precision}.onnx": path.read_bytes()}


def _score(
    model: TrainedModel, data: Dataset, draft: _Drafted, tensors: tuple[Tensor, Tensor], stage: Stage
) -> Scored:
    """One graph on the held-out normal parts and the test parts, in this order."""
    parts = (*data.validation, *data.test)
    entry = _entry(draft, tensors, 0.0, model.recipe.export)
    with stage(f"scoring {len(parts)} parts with {draft.id}"):
        runner = make_runner(entry, draft.files[entry.model], draft.files.get(entry.weights or ""))
        maps = np.stack([runner.run(images) for images in iterate_images(parts, data)])
        runner.close()
    views, scores = _scores(model, maps)
    return Scored(maps=maps, views=views, parts=scores, defective=_labels(parts))


def _prove(name: str, maps: FloatArray, expected: FloatArray, spec: ExportSpec) -> float:
    """The relative map error, refused where it is over the recipe's tolerance."""
    error = relative_error(maps, expected)
    int8 = name.endswith("int8")
    allowed = spec.tolerance_int8 if int8 else spec.tolerance_fp32
    if not error <= allowed:
        kind = AccuracyError if int8 else ParityError
        key = "tolerance_int8" if int8 else "tolerance_fp32"
        raise kind(
            f"{name}: maps differ from the trained model by {error:.2g}, allowed {allowed:g} (export.{key}); "
            "nothing was written"
        )
    return error


def _thresholds(model: TrainedModel, reference: Scored, normal: int) -> Thresholds:
    rate = model.recipe.thresholds.false_reject_rate
    return calibrate(reference.parts[:normal], reference.views[:normal], model.views, rate)


def _entry(draft: _Drafted, tensors: tuple[Tensor, Tensor], error: float, spec: ExportSpec) -> Graph:
    """A graph's manifest entry."""
    names = list(draft.files)
    return Graph.model_validate(
        {
            "backend": draft.backend,
            "precision": draft.precision,
            "model": names[0],
            "weights": names[1] if len(names) > 1 else None,
            "input": tensors[0],
            "output": tensors[1],
            "measured_error": error,
            "tolerance": spec.tolerance_replay if draft.precision == "int8" else spec.tolerance_fp32,
        }
    )


def _write_proven(output: Path, manifest: Manifest, files: dict[str, bytes], stage: Stage) -> Built:
    """Write under a temporary name, replay the golden parts from the file, and only then give it its name."""
    draft = output.with_name(output.name + ".unproven")
    try:
        with stage("writing the bundle"):
            write_bundle(draft, manifest, files)
        with stage("replaying golden parts from the bundle"), Bundle.open(draft) as bundle:
            for graph in manifest.graphs:
                verify_graph(bundle, graph)
            sha256 = bundle.sha256
        size = draft.stat().st_size
        os.replace(draft, output)  # noqa: PTH105 - the atomic form
    finally:
        draft.unlink(missing_ok=True)
    return Built(
        path=output,
        size=size,
        sha256=sha256,
        graphs=manifest.graphs,
        thresholds=manifest.thresholds,
        accuracy=manifest.accuracy,
    )


def _torch_maps(module: torch.nn.Module, images: Sequence[Images]) -> FloatArray:
    """Maps (n, V, h, w) as torch computes them."""
    with torch.no_grad():
        return np.stack([module(torch.from_numpy(part)).numpy() for part in images])


def _scores(model: TrainedModel, maps: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Raw view scores (n, V) and part scores (n,)."""
    spec = model.recipe.scoring
    statistics = model.statistics if spec.pixel_statistics else None
    scoring = spec.scoring(STATISTICS_FILE if statistics is not None else None)
    views = view_scores(standardise(maps, statistics), scoring)
    return views, part_score(views, scoring)


def _labels(parts: Sequence[RecordedPart]) -> np.ndarray[tuple[int], np.dtype[np.bool_]] | None:
    flags = [part.defective for part in parts]
    return None if None in flags else np.array(flags, np.bool_)


def _statistics_bytes(statistics: PixelStatistics) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, mean=statistics.mean, std=statistics.std)
    return buffer.getvalue()
