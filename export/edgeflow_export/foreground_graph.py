"""The foreground of a bundle: its masks or its graphs, proven against torch, and its manifest entry."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import torch

from edgeflow.contracts.images import read_image
from edgeflow.contracts.manifest import Foreground, Graph
from edgeflow.contracts.parity import relative_error
from edgeflow.contracts.preprocess import prepare
from edgeflow.contracts.scoring import Masks
from edgeflow.errors import ConfigError, ParityError
from edgeflow_export.drafts import draft_onnx
from edgeflow_export.export_job import ExportJob
from edgeflow_export.foreground import MaskTeacher, NetworkTeacher
from edgeflow_export.foreground_choice import Chosen
from edgeflow_export.graphs import FOREGROUND

__all__ = ["BuiltForeground", "build_foreground"]

MASKS_FILE = "foreground/masks.npz"
PREFIX = "foreground/"


@dataclass(frozen=True, kw_only=True)
class BuiltForeground:
    """A bundle's foreground and the files that it adds."""

    entry: Foreground
    files: dict[str, bytes]


def build_foreground(
    chosen: Chosen, teacher: MaskTeacher, job: ExportJob, fixed: Masks
) -> BuiltForeground | None:
    """The foreground of the chosen kind; None where every pixel counts.

    Args:
        fixed: masks (V, h, w) of a fixed foreground.

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
        np.savez_compressed(buffer, masks=fixed)
        entry = Foreground(kind="fixed", masks=MASKS_FILE, note=chosen.note)
        return BuiltForeground(entry=entry, files={MASKS_FILE: buffer.getvalue()})
    if isinstance(teacher, NetworkTeacher):
        return _network(teacher.at(chosen.size), job, chosen.note)
    raise ConfigError(
        "foreground: kind mvanet needs foreground.weights; masks alone give fixed or distilled ones"
    )


def _network(teacher: NetworkTeacher, job: ExportJob, note: str) -> BuiltForeground:
    """The network as one graph per back end, tried on one recorded view."""
    size, data, spec, stage = teacher.spec.height, job.data, job.spec, job.stage
    view = data.views[0]
    image = prepare(read_image((*data.validation, *data.training)[0].images[view.id]), view, teacher.spec)
    network = teacher.network.to("cpu").eval()
    with stage(f"the foreground network at {size}x{size} in torch"), torch.inference_mode():
        expected = network(torch.from_numpy(image[np.newaxis].copy())).numpy()
    with stage("exporting the foreground network to ONNX"):
        source = draft_onnx(network, (1, size, size), (FOREGROUND,), job.folder, prefix=PREFIX)
    graphs: list[Graph] = []
    files: dict[str, bytes] = {}
    for draft in source.drafts(spec.backends, ("fp32",)):
        with stage(f"proving the foreground network on {draft.id}"):
            runner = draft.runner()
            (logits,) = runner.run(image[np.newaxis])
            runner.close()
        error = relative_error(logits, expected)
        if not error <= spec.tolerance_fp32:
            raise ParityError(
                f"foreground, {draft.id}: logits differ from the network's by {error:.2g}, allowed "
                f"{spec.tolerance_fp32:g} (export.tolerance_fp32); nothing was written"
            )
        graphs.append(draft.entry(error=error, tolerance=spec.tolerance_fp32))
        files |= draft.files
    entry = Foreground(kind="mvanet", size=size, graphs=tuple(graphs), note=note)
    return BuiltForeground(entry=entry, files=files)
