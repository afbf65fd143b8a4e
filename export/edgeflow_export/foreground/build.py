"""The foreground of a bundle: its masks or its graphs, proven against torch, and its manifest entry."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from edgeflow.contracts.images import read_image
from edgeflow.contracts.manifest import Foreground
from edgeflow.contracts.parity import relative_error
from edgeflow.contracts.preprocess import prepare
from edgeflow.contracts.scoring import Masks
from edgeflow.errors import ConfigError, ParityError
from edgeflow_export.conversion.candidate_graphs import CandidateGraph, draft_onnx
from edgeflow_export.conversion.job import ExportJob
from edgeflow_export.conversion.onnx_and_ir import FOREGROUND
from edgeflow_export.foreground.choice import Chosen, ForegroundData
from edgeflow_export.foreground.reduced_precision import reduce_network
from edgeflow_export.masks.teachers import MaskTeacher, NetworkTeacher

__all__ = ["BuiltForeground", "build_foreground"]

MASKS_FILE = "foreground/masks.npz"
PREFIX = "foreground/"


@dataclass(frozen=True, kw_only=True)
class BuiltForeground:
    """A bundle's foreground and the files that it adds.

    Attributes:
        masks: (n, V, h, w) of the export's parts, where they are not those of the chosen kind in fp32.
    """

    entry: Foreground
    files: dict[str, bytes]
    masks: Masks | None = None


def build_foreground(
    chosen: Chosen, teacher: MaskTeacher, job: ExportJob, evidence: ForegroundData
) -> BuiltForeground | None:
    """The foreground of the chosen kind; None where every pixel counts.

    Args:
        evidence: what a network in fewer bits is judged by.

    Raises:
        ParityError: the graph does not compute what the network computes.
        ConfigError: the teacher has no network to export.
    """
    if chosen.kind == "none":
        return None
    if chosen.kind == "distilled":
        return BuiltForeground(entry=Foreground(kind="distilled", note=chosen.note), files={})
    if chosen.kind == "fixed":
        buffer = io.BytesIO()
        np.savez_compressed(buffer, masks=chosen.masks[0])
        entry = Foreground(kind="fixed", masks=MASKS_FILE, note=chosen.note)
        return BuiltForeground(entry=entry, files={MASKS_FILE: buffer.getvalue()})
    if isinstance(teacher, NetworkTeacher):
        return _network(teacher.at(chosen.size), job, chosen.note, evidence)
    raise ConfigError(
        "foreground: kind mvanet needs foreground.weights; masks alone give fixed or distilled ones"
    )


def _network(teacher: NetworkTeacher, job: ExportJob, note: str, evidence: ForegroundData) -> BuiltForeground:
    """The network as one graph per back end, tried on one recorded view; in fewer bits where wanted."""
    size, spec = teacher.spec.height, job.spec
    with job.stage("exporting the foreground network to ONNX"):
        network = teacher.network.to("cpu").eval()
        source = draft_onnx(
            network, torch.zeros((1, size, size, 3), dtype=torch.uint8), (FOREGROUND,), job, prefix=PREFIX
        )
    drafts = {draft.backend: draft for draft in source.drafts(spec.backends, ("fp32",))}
    errors = _errors(teacher, job, drafts.values())
    for backend, error in errors.items():
        if not error <= spec.tolerance_fp32:
            raise ParityError(
                f"foreground, {drafts[backend].id}: logits differ from the network's by {error:.2g}, allowed "
                f"{spec.tolerance_fp32:g} (export.tolerance_fp32); nothing was written"
            )
    masks = None
    if job.model.recipe.foreground.precision != "fp32" and "openvino" in drafts:
        reduced, found = reduce_network(job, source, size, evidence)
        note = f"{note}; {found}"
        if reduced is not None:
            drafts["openvino"], masks = reduced.draft, reduced.masks
            errors |= _errors(teacher, job, [reduced.draft])
    graphs = tuple(
        draft.entry(
            error=errors[backend],
            tolerance=spec.tolerance_fp32 if draft.precision == "fp32" else spec.tolerance_replay,
        )
        for backend, draft in drafts.items()
    )
    files = {name: content for draft in drafts.values() for name, content in draft.files.items()}
    entry = Foreground(kind="mvanet", size=size, graphs=graphs, note=note)
    return BuiltForeground(entry=entry, files=files, masks=masks)


def _errors(teacher: NetworkTeacher, job: ExportJob, drafts: Iterable[CandidateGraph]) -> dict[str, float]:
    """Each back end's relative error of the logits of one recorded view, against torch."""
    data, size = job.data, teacher.spec.height
    view = data.views[0]
    part = (*data.validation, *data.training)[0]
    image = prepare(read_image(part.images[view.id], data.reading), view, teacher.spec)
    with job.stage(f"the foreground network at {size}x{size} in torch"), torch.inference_mode():
        expected = teacher.network(torch.from_numpy(image[np.newaxis].copy())).numpy()
    errors = {}
    for draft in drafts:
        with job.stage(f"the foreground network on {draft.id}"):
            runner = draft.runner()
            (logits,) = runner.run(image[np.newaxis])
            runner.close()
        errors[draft.backend] = relative_error(logits, expected)
    return errors
