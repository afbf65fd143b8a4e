"""The foreground of a bundle: its masks or its graphs, proven against torch, and its manifest entry."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from edgeflow.contracts.images import read_image
from edgeflow.contracts.manifest import Foreground
from edgeflow.contracts.parity import relative_error
from edgeflow.contracts.preprocess import prepare
from edgeflow.errors import ConfigError, ParityError
from edgeflow_export.datasets import Dataset
from edgeflow_export.drafts import draft_onnx
from edgeflow_export.foreground import FixedTeacher, MaskTeacher, NetworkTeacher
from edgeflow_export.graphs import FOREGROUND
from edgeflow_export.recipe import ExportSpec

__all__ = ["BuiltForeground", "build_foreground"]

MASKS_FILE = "foreground/masks.npz"
PREFIX = "foreground/"

Stage = Callable[[str], AbstractContextManager[None]]


@dataclass(frozen=True, kw_only=True)
class BuiltForeground:
    """A bundle's foreground and the files that it adds."""

    entry: Foreground
    files: dict[str, bytes]


def build_foreground(
    kind: Literal["fixed", "distilled", "mvanet", "auto"],
    teacher: MaskTeacher | None,
    data: Dataset,
    spec: ExportSpec,
    stage: Stage,
    folder: Path,
    map_size: tuple[int, int],
) -> BuiltForeground:
    """The foreground of one kind.

    Raises:
        ParityError: the graph does not compute what the network computes.
        ConfigError: the teacher cannot give this kind.
    """
    if kind == "distilled":
        return BuiltForeground(entry=Foreground(kind="distilled"), files={})
    if kind == "fixed" and isinstance(teacher, FixedTeacher):
        masks = teacher.masks("", [], data.views, map_size)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, masks=masks)
        entry = Foreground(kind="fixed", masks=MASKS_FILE)
        return BuiltForeground(entry=entry, files={MASKS_FILE: buffer.getvalue()})
    if kind == "mvanet" and isinstance(teacher, NetworkTeacher):
        return _network(teacher, data, spec, stage, folder)
    raise ConfigError(f"foreground: kind {kind} does not go with the masks that the recipe gives")


def _network(
    teacher: NetworkTeacher, data: Dataset, spec: ExportSpec, stage: Stage, folder: Path
) -> BuiltForeground:
    """The network as one graph per back end, tried on one recorded view."""
    size = teacher.spec.height
    view = data.views[0]
    image = prepare(read_image((*data.validation, *data.training)[0].images[view.id]), view, teacher.spec)
    network = teacher.network.to("cpu").eval()
    with stage(f"the foreground network at {size}x{size} in torch"), torch.inference_mode():
        expected = network(torch.from_numpy(image).unsqueeze(0)).numpy()
    with stage("exporting the foreground network to ONNX"):
        source = draft_onnx(network, (1, size, size), (FOREGROUND,), folder, prefix=PREFIX)
    graphs, files = [], {}
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
    return BuiltForeground(entry=Foreground(kind="mvanet", size=size, graphs=tuple(graphs)), files=files)
