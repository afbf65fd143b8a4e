"""The official checkpoints as one trained model: Multi-Flow, its feature extractor, and MVANet."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from edgeflow.errors import CheckpointError, ConfigError, UsageError
from edgeflow_export.checkpoints.checkpoint import TrainedModel
from edgeflow_export.data.published_mirroring import MIRRORING
from edgeflow_export.features.extractors import build_extractor, output_shape, tiled
from edgeflow_export.models.inspection_model import InspectionModel
from edgeflow_export.models.multiflow import FlowShape, MultiFlow
from edgeflow_export.models.published_multiflow import published_graph, published_shape, published_state
from edgeflow_export.recipe import (
    DataSpec,
    EfficientNetB5Extractor,
    ExportSpec,
    FlowSpec,
    ForegroundSpec,
    ImageSpec,
    NoiseSpec,
    Recipe,
    ScoringSpec,
    TrainingSpec,
)
from edgeflow_export.weight_files import load_strictly, read_published

__all__ = ["OFFICIAL", "OfficialFiles", "official_model"]

OFFICIAL = "multiflow_checkpoint"
"""In the provenance of every model made of official files."""

PUBLISHED_SIZE = 768
# Normal parts for thresholds and for calibration: a published model has been trained on other ones.
HELD_OUT = 0.5


@dataclass(frozen=True, kw_only=True)
class OfficialFiles:
    """Checkpoint files as published.

    Attributes:
        backbone: EfficientNet-B5's; None where a recipe names the extractor.
        mvanet: None where no foreground, or a recipe's, is wanted.
        graph: the flow's graph, where its tensor names do not tell it.
    """

    multiflow: Path
    backbone: Path | None = None
    mvanet: Path | None = None
    graph: str | None = None


def official_model(
    files: OfficialFiles,
    recipe: Recipe | None,
    *,
    root: Path | None,
    class_name: str | None = None,
    search_path: Sequence[Path] = (),
) -> TrainedModel:
    """The trained model of official files; scores are the published ones: maximum, then mean over views.

    Args:
        recipe: what the files do not tell: data, image, extractor, export. Default: as published.
        root: folder of recorded parts; needed without a recipe.
        class_name: of the parts; Real-IAD's are mirrored as published, unless a recipe says otherwise.

    Raises:
        CheckpointError: a file is another network's, or does not fit the others.
        ConfigError: the recipe says otherwise than the files.
        UsageError: neither recipe nor folder, or no extractor.
    """
    state = read_published(files.multiflow)
    graph = published_graph(state, files.graph)
    shape = published_shape(state, graph=graph)
    described = _described(files, recipe, (root, class_name), graph, shape)
    plain = build_extractor(described.extractor, pretrained=True, search_path=search_path)
    extractor = tiled(plain, described.image)
    return TrainedModel(
        recipe=described,
        module=_module(extractor, state, shape, described, files.multiflow),
        views=described.data.views or (),
        statistics=None,
        provenance=_provenance(files),
    )


def _module(
    extractor: nn.Module, state: dict[str, Tensor], shape: FlowShape, recipe: Recipe, file: Path
) -> InspectionModel:
    channels, _, _ = output_shape(extractor, recipe.image.height, recipe.image.width)
    if channels != shape.channels:
        raise CheckpointError(
            f"{file}: a flow for {shape.channels} channels, but the extractor gives {channels}; name the "
            "extractor that the flow was trained with (--backbone, or a recipe's extractor)"
        )
    flow = MultiFlow(shape)
    load_strictly(flow, published_state(state, shape), what=str(file))
    return InspectionModel(extractor, torch.zeros(channels), torch.ones(channels), flow).eval()


def _described(
    files: OfficialFiles,
    recipe: Recipe | None,
    parts: tuple[Path | None, str | None],
    graph: str,
    shape: FlowShape,
) -> Recipe:
    """The recipe that the files amount to; what they tell replaces what the recipe leaves open."""
    if recipe is None:
        root, class_name = parts
        if root is None:
            raise UsageError("official checkpoints need recorded parts to calibrate with: --calibration DIR")
        recipe = _published_recipe(files, root, class_name)
    flow = FlowSpec.model_validate(
        {"graph": graph, "hidden": shape.hidden, "kernels": shape.kernels, "clamp": shape.clamp}
    )
    told = recipe.flow.model_fields_set if "flow" in recipe.model_fields_set else set()
    wrong = [
        f"flow.{key}: {getattr(recipe.flow, key)}, the checkpoint has {getattr(flow, key)}"
        for key in sorted(told)
        if getattr(recipe.flow, key) != getattr(flow, key)
    ]
    if wrong:
        raise ConfigError(f"the recipe disagrees with {files.multiflow}", problems=wrong)
    update: dict[str, object] = {
        "flow": flow,
        "noise": NoiseSpec(mode=1 if shape.conditioned else 0),
        "training": TrainingSpec(standardise="none"),
        "scoring": ScoringSpec(view="max", top_k=None, part="mean", pixel_statistics=False),
    }
    if files.backbone is not None:
        update["extractor"] = EfficientNetB5Extractor(kind="efficientnet_b5", weights=files.backbone)
    if files.mvanet is not None:
        kept = recipe.foreground.model_dump(exclude={"weights"}, exclude_unset=True)
        kept.setdefault("kind", "mvanet")
        update["foreground"] = ForegroundSpec.model_validate(kept | {"weights": files.mvanet})
    return recipe.model_copy(update=update)


def _published_recipe(files: OfficialFiles, root: Path, class_name: str | None) -> Recipe:
    if files.backbone is None:
        raise UsageError(
            f"{files.multiflow}: a Multi-Flow checkpoint holds no feature extractor; give EfficientNet-B5's "
            "file with --backbone, or a recipe that names the extractor with --recipe"
        )
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", files.multiflow.stem).strip("-._") or "multiflow"
    return Recipe(
        name=name[:64],
        data=DataSpec(
            root=root,
            class_name=class_name,
            validation_fraction=HELD_OUT,
            mirror="published" if class_name in MIRRORING else (),
        ),
        image=ImageSpec(height=PUBLISHED_SIZE, width=PUBLISHED_SIZE),
        extractor=EfficientNetB5Extractor(kind="efficientnet_b5", weights=files.backbone),
        export=ExportSpec(precisions=("fp32",)),  # as published; --precision asks for more
    )


def _provenance(files: OfficialFiles) -> dict[str, str]:
    named = {
        OFFICIAL: files.multiflow,
        "backbone_checkpoint": files.backbone,
        "mvanet_checkpoint": files.mvanet,
    }
    return {
        role: f"{path.name}, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for role, path in named.items()
        if path is not None
    }
