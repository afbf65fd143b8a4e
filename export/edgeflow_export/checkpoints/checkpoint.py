"""Checkpoints in safetensors: the whole trained model with its recipe, every tensor accounted for."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from edgeflow.contracts.documents.document import parse_document
from edgeflow.contracts.scoring import PixelStatistics, Scoring, ViewScale
from edgeflow.errors import CheckpointError, ConfigError, StorageError
from edgeflow_export.features.extractors import build_extractor, output_shape, tiled
from edgeflow_export.models.inspection_model import InspectionModel
from edgeflow_export.models.mask_head import MaskHead
from edgeflow_export.models.multiflow import FlowShape, MultiFlow
from edgeflow_export.models.patch_memory import MemoryShape, PatchMemory
from edgeflow_export.models.view_graph import view_graph
from edgeflow_export.recipe import HEADED, Recipe
from edgeflow_export.weight_files import load_strictly

__all__ = ["IMAGES_READ", "TrainedModel", "build_model", "flow_shape", "load_checkpoint", "save_checkpoint"]

FORMAT = "edgeflow/checkpoint/1"
IMAGES_READ = "images_read"
"""In the provenance: how training read its images (depth, orientation); absent in older checkpoints."""


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """A trained model and all that its scores depend on.

    Attributes:
        module: in evaluation mode, on the CPU.
        views: the views, in the order of the module's first axis.
        statistics: pixel statistics of normal parts, where the recipe asks for them.
        view_scales: of the view scores of training parts, where the recipe asks for them.
        provenance: where it came from: data, versions, figures.
    """

    recipe: Recipe
    module: InspectionModel
    views: tuple[str, ...]
    statistics: PixelStatistics | None
    provenance: dict[str, str]
    view_scales: tuple[ViewScale, ...] | None = None

    def scoring(self, statistics_file: str | None = None) -> Scoring:
        """The manifest's rules from maps to scores.

        Args:
            statistics_file: name of the file of ``statistics``, where they count.

        Raises:
            ConfigError: the recipe brings views to one scale, and the checkpoint was made without.
        """
        if self.recipe.scoring.standardise_views and self.view_scales is None:
            raise ConfigError(
                "scoring.standardise_views: this model has no scales of its views; 'edgeflow train RECIPE' "
                "adds them to a checkpoint of its own without training again, official ones have none"
            )
        return self.recipe.scoring.scoring(statistics_file, self.view_scales)


def flow_shape(recipe: Recipe, channels: int, views: int) -> FlowShape:
    """The flow's architecture for a recipe."""
    return FlowShape(
        channels=channels,
        hidden=recipe.flow.hidden,
        kernels=recipe.flow.kernels,
        clamp=recipe.flow.clamp,
        conditioned=recipe.noise.mode != 0,
        graph=view_graph(recipe.flow.graph, views),
    )


def build_model(
    recipe: Recipe, channels: int, views: int, search_path: Sequence[Path] = (), *, patches: int = 0
) -> InspectionModel:
    """The module of a recipe with untrained weights, in evaluation mode.

    Args:
        patches: of a patch memory, which holds fewer than the recipe allows where there were fewer.
    """
    plain = build_extractor(recipe.extractor, pretrained=False, search_path=search_path)
    extractor = tiled(plain, recipe.image)
    head = _untrained_head(recipe, channels, views, patches)
    mask_head: MaskHead | None = None
    shape: tuple[int, ...] = (channels,)
    headed, by_position = recipe.foreground.kind in HEADED, recipe.training.standardise == "position"
    if headed or by_position:
        _, height, width = output_shape(extractor, recipe.image.height, recipe.image.width)
        mask_head = MaskHead(channels, (views, height, width)) if headed else None
        shape = (views, channels, height, width) if by_position else shape
    return InspectionModel(extractor, torch.zeros(shape), torch.ones(shape), head, mask_head).eval()


def _untrained_head(recipe: Recipe, channels: int, views: int, patches: int) -> MultiFlow | PatchMemory:
    if recipe.model == "multi_flow":
        return MultiFlow(flow_shape(recipe, channels, views))
    averaging = recipe.patch_memory.averaging
    return PatchMemory(MemoryShape(channels=channels, views=views, patches=patches, averaging=averaging))


def save_checkpoint(path: Path, model: TrainedModel) -> None:
    """Write a checkpoint atomically.

    Raises:
        StorageError: the folder cannot be written.
    """
    tensors: dict[str, Tensor] = {
        name: tensor.detach().cpu().contiguous() for name, tensor in model.module.state_dict().items()
    }
    if model.statistics is not None:
        tensors["statistics.mean"] = torch.from_numpy(model.statistics.mean).contiguous()
        tensors["statistics.std"] = torch.from_numpy(model.statistics.std).contiguous()
    header = {
        "format": FORMAT,
        "recipe": model.recipe.model_dump(mode="json"),
        "views": list(model.views),
        "channels": int(model.module.head.shape.channels),
        "provenance": model.provenance,
    }
    if model.view_scales is not None:
        header["view_scales"] = [scale.model_dump() for scale in model.view_scales]
    if model.module.memory is not None:
        header["patches"] = model.module.memory.shape.patches
    partial = path.with_suffix(path.suffix + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, partial, metadata={"edgeflow": json.dumps(header)})
        os.replace(partial, path)  # noqa: PTH105 - the atomic form
    except (OSError, SafetensorError) as cause:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise StorageError(
            f"{path}: checkpoint cannot be written: {cause}; check space and rights"
        ) from cause


def load_checkpoint(path: Path, *, search_path: Sequence[Path] = ()) -> TrainedModel:
    """Read a checkpoint.

    Args:
        search_path: folders besides the current one where an extractor function's module may lie.

    Raises:
        CheckpointError: unreadable, another format, or tensors missing or left over; all are named.
    """
    header, tensors = _read(path)
    recipe = parse_document(Recipe, header["recipe"], what=f"{path}: recipe", error=CheckpointError)
    views = tuple(str(view) for view in header["views"])
    module = build_model(
        recipe, int(header["channels"]), len(views), search_path, patches=int(header.get("patches", 0))
    )
    statistics = None
    if "statistics.mean" in tensors and "statistics.std" in tensors:
        mean, std = tensors.pop("statistics.mean"), tensors.pop("statistics.std")
        statistics = PixelStatistics(mean=mean.numpy(), std=std.numpy())
    load_strictly(
        module,
        _as_before(module, tensors),
        what=str(path),
        problem="tensors do not fit the recipe it carries; where another version of this program wrote it, "
        "train again: 'edgeflow train RECIPE --restart'",
    )
    return TrainedModel(
        recipe=recipe,
        module=module.eval(),
        views=views,
        statistics=statistics,
        provenance={str(k): str(v) for k, v in header["provenance"].items()},
        view_scales=_view_scales(header, path),
    )


def _view_scales(header: dict[str, Any], path: Path) -> tuple[ViewScale, ...] | None:
    found = header.get("view_scales")
    if found is None:
        return None
    what = f"{path}: view_scales"
    return tuple(parse_document(ViewScale, scale, what=what, error=CheckpointError) for scale in found)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint; make one with 'edgeflow train RECIPE'")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        header = json.loads(metadata.get("edgeflow", "{}"))
    except (SafetensorError, OSError, ValueError) as cause:
        raise CheckpointError(f"{path}: not a safetensors checkpoint: {cause}") from cause
    needed = {"recipe", "views", "channels", "provenance"}
    if header.get("format") != FORMAT or not needed <= set(header):
        raise CheckpointError(
            f"{path}: not a checkpoint of this program ({header.get('format', 'no format named')}, "
            f"expected {FORMAT}); make one with 'edgeflow train RECIPE'"
        )
    return header, tensors


def _as_before(module: InspectionModel, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a checkpoint; in one from before timm's models had a normalisation of their own, none."""
    neutral = {
        f"extractor.{name}": value
        for name, value in zip(("input_scale", "input_shift"), (1.0, 0.0), strict=True)
    }
    expected = module.state_dict()
    lacking = {
        name: torch.full_like(expected[name], value)
        for name, value in neutral.items()
        if name in expected and not set(neutral) & set(tensors)
    }
    return tensors | lacking
