"""One graph of a model as files for other programs: compared with torch, without thresholds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edgeflow import __version__
from edgeflow.contracts.datasets.find_parts import RecordedPart
from edgeflow.contracts.images import read_image
from edgeflow.contracts.parity import relative_error
from edgeflow.contracts.preprocess import prepare
from edgeflow.errors import ConfigError, ParityError
from edgeflow.temporary_folder import temporary_folder
from edgeflow_export.bundling.memory_check import check_memory
from edgeflow_export.checkpoints.checkpoint import TrainedModel
from edgeflow_export.conversion.calibration_parts import spread
from edgeflow_export.conversion.candidate_graphs import CandidateGraph, draft_onnx
from edgeflow_export.conversion.int8 import Int8Options
from edgeflow_export.conversion.job import ExportJob, Stage
from edgeflow_export.conversion.onnx_and_ir import FEATURES, FOREGROUND, MAPS
from edgeflow_export.conversion.rewriting import InferenceModel, rewrite
from edgeflow_export.conversion.stage_results import StageResults
from edgeflow_export.data.dataset import Dataset, load_images, require_training_parts
from edgeflow_export.foreground.candidates import distilled_head
from edgeflow_export.masks.teachers import MaskTeacher, NetworkTeacher, load_teacher
from edgeflow_export.models.inspection_model import InspectionModel
from edgeflow_export.recipe import HEADED
from edgeflow_export.report.files import write_files

__all__ = ["Part", "build_graph", "export_alone"]

Part = Literal["features", "flow", "maps", "foreground"]
Array = npt.NDArray[Any]

PARITY_PARTS = 2


@dataclass(frozen=True, kw_only=True)
class _Alone:
    """One module with what torch, in the form it was trained in, gives for some inputs.

    Attributes:
        input_of: what the module is given of a part.
    """

    module: nn.Module
    output: str
    input_of: Callable[[RecordedPart], Array]
    inputs: list[Array]
    expected: list[Array]


def export_alone(job: ExportJob, teacher: MaskTeacher | None, only: Part, folder: Path) -> tuple[Path, ...]:
    """Write one graph in the recipe's back ends and precisions, and ``<only>.json`` that describes them.

    INT8 graphs carry their error; whether verdicts bear it only a bundle's export can tell.

    Raises:
        ConfigError: the recipe has no such graph.
        ParityError: a float graph does not compute what torch computes.
        StorageError: the folder cannot be written.
    """
    alone = _alone(job, teacher, only)
    with job.stage(f"exporting the {only} to ONNX"):
        source = draft_onnx(
            alone.module, torch.from_numpy(alone.inputs[0]), (alone.output,), job, prefix=f"{only}/"
        )
    files: dict[str, bytes] = {}
    described = []
    for draft in source.drafts(job.spec.backends, job.spec.precisions):
        error = _error(job, draft, alone)
        if draft.precision == "fp32" and not error <= job.spec.tolerance_fp32:
            raise ParityError(
                f"{only}, {draft.id}: differs from torch by {error:.2g}, allowed "
                f"{job.spec.tolerance_fp32:g} (export.tolerance_fp32); nothing was written"
            )
        described.append(_described(draft, error, files))
    if "int8" in job.spec.precisions:
        parts = spread(job.data.training, job.spec.calibration_parts)
        samples = [alone.input_of(part) for part in parts]
        options = Int8Options.of(job.spec)
        for backend in job.spec.backends:
            with job.stage(f"quantizing the {only} for {backend}"):
                draft = source.quantizer(backend, samples, options, job.results)(())
            described.append(_described(draft, _error(job, draft, alone), files))
    document = {"created_by": f"edgeflow {__version__}", "graph": only, "forms": described}
    files[f"{only}.json"] = json.dumps(document, indent=1).encode()
    return write_files(folder, files)


def _alone(job: ExportJob, teacher: MaskTeacher | None, only: Part) -> _Alone:
    trained = job.module
    parts = (*job.data.validation, *job.data.training)[:PARITY_PARTS]
    if only == "foreground":
        return _foreground(job, teacher, parts)

    def features_of(part: RecordedPart) -> Array:
        with torch.inference_mode():
            features: Array = trained.features(torch.from_numpy(images_of(part))).numpy()
        return features

    def images_of(part: RecordedPart) -> Array:
        return load_images(part, job.data)

    images, features = [images_of(part) for part in parts], [features_of(part) for part in parts]
    with torch.inference_mode():
        maps = [trained(torch.from_numpy(part)).numpy() for part in images]
    size = job.data.preprocessing
    inference = rewrite(trained, (size.height, size.width))
    if only == "features":
        module = _Features(inference).eval()
        return _Alone(module=module, output=FEATURES, input_of=images_of, inputs=images, expected=features)
    if only == "flow":
        flow = inference.flow.eval()
        return _Alone(module=flow, output=MAPS, input_of=features_of, inputs=features, expected=maps)
    inference.mask_head = None
    return _Alone(module=inference, output=MAPS, input_of=images_of, inputs=images, expected=maps)


def _foreground(job: ExportJob, teacher: MaskTeacher | None, parts: Sequence[RecordedPart]) -> _Alone:
    """MVANet, or the distilled head with the extractor below it, trained here where the model has none."""
    kind, network = job.model.recipe.foreground.kind, teacher
    if isinstance(network, NetworkTeacher) and kind in {"mvanet", "auto"}:
        view, spec = job.data.views[0], network.spec

        def view_of(part: RecordedPart) -> Array:
            image = read_image(part.images[view.id], job.data.reading)
            return np.array(prepare(image, view, spec)[np.newaxis])

        return _with_expected(network.network.to("cpu").eval(), view_of, parts[:1])
    trained = job.module
    if trained.mask_head is None and teacher is not None and kind in HEADED:
        trained.mask_head = distilled_head(job, teacher)
    if trained.mask_head is None:
        raise ConfigError(
            "--only foreground: this model has none; give --mvanet with official files, or train with "
            "foreground.kind: distilled"
        )
    return _with_expected(_Head(trained).eval(), lambda part: load_images(part, job.data), parts)


def _with_expected(
    module: nn.Module, input_of: Callable[[RecordedPart], Array], parts: Sequence[RecordedPart]
) -> _Alone:
    inputs = [input_of(part) for part in parts]
    with torch.inference_mode():
        expected = [module(torch.from_numpy(images)).numpy() for images in inputs]
    return _Alone(module=module, output=FOREGROUND, input_of=input_of, inputs=inputs, expected=expected)


def _error(job: ExportJob, draft: CandidateGraph, alone: _Alone) -> float:
    with job.stage(f"proving {draft.id}"):
        runner = draft.runner()
        try:
            pairs = [(runner.run(x)[0], y) for x, y in zip(alone.inputs, alone.expected, strict=True)]
        finally:
            runner.close()
    return max(relative_error(found, expected) for found, expected in pairs)


def _described(draft: CandidateGraph, error: float, files: dict[str, bytes]) -> dict[str, Any]:
    """The graph's entry in the document; its files are added to the others."""
    names = {}
    for path, content in draft.files.items():
        short = path.replace("/", "-")
        files[short] = content
        names[short] = hashlib.sha256(content).hexdigest()
    return {
        "backend": draft.backend,
        "precision": draft.precision,
        "files": names,
        "input": draft.tensors.input.model_dump(mode="json"),
        "outputs": [tensor.model_dump(mode="json") for tensor in draft.tensors.outputs],
        "measured_error": error,
    }


class _Features(nn.Module):
    """uint8 images (V, H, W, 3) to standardised features (V, C, h, w)."""

    def __init__(self, model: InferenceModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model.features(images)


class _Head(nn.Module):
    """uint8 images (V, H, W, 3) to foreground logits (V, h, w)."""

    def __init__(self, model: InspectionModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        assert self.model.mask_head is not None  # noqa: S101 - asked before
        logits: Tensor = self.model.mask_head(self.model.raw_features(images))
        return logits


def build_graph(
    model: TrainedModel,
    data: Dataset,
    only: Part,
    folder: Path,
    stage: Stage,
    *,
    device: str = "cpu",
    results: StageResults | None = None,
    ignore_memory: bool = False,
) -> tuple[Path, ...]:
    """Export one graph of a trained model as files; the arguments are those of ``build_bundle``.

    Raises:
        ParityError, ConfigError, StorageError, HardwareError: see there, and ``export_alone``.
    """
    require_training_parts(data, 1)
    with temporary_folder() as work:
        teacher = load_teacher(model.recipe.foreground, device=device) if _asks(model, only) else None
        job = ExportJob(model=model, data=data, stage=stage, folder=work, results=results or StageResults())
        check_memory(job, teacher, ignore=ignore_memory)
        return export_alone(job, teacher, only, folder)


def _asks(model: TrainedModel, only: Part) -> bool:
    """True if a teacher is needed: not by a head that has learnt from it."""
    learnt = model.recipe.foreground.kind == "distilled" and model.module.mask_head is not None
    return only == "foreground" and not learnt
