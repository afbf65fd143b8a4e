"""The recipe as a whole, read from YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from edgeflow.contracts.documents.document import Document, parse_document
from edgeflow.contracts.documents.paths import against, named_in_text
from edgeflow.contracts.documents.strict_yaml import read_yaml
from edgeflow.errors import ConfigError
from edgeflow_export.models.view_graph import view_graph
from edgeflow_export.recipe.export import ExportSpec, ForegroundSpec, ScoringSpec, ThresholdSpec
from edgeflow_export.recipe.extractors import EfficientNetB5Extractor, ExtractorSpec, TimmExtractor
from edgeflow_export.recipe.imported import HELD_OUT_OF_IMPORTED, ImportRecipe
from edgeflow_export.recipe.training import (
    DataSpec,
    FlowSpec,
    ImageSpec,
    ModelKind,
    NoiseSpec,
    PatchMemorySpec,
    TrainingSpec,
)

__all__ = ["Recipe", "load_export_recipe", "load_recipe", "with_graph", "with_model"]


class Recipe(Document):
    """One product on one class of devices."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")] = Field(
        description="name of the product, which the bundle bears"
    )
    data: DataSpec
    image: ImageSpec
    extractor: ExtractorSpec = Field(description="feature extractor, one section by its kind")
    model: ModelKind = Field(
        default="multi_flow",
        description="multi_flow: a normalizing flow across views, trained for minutes to hours; "
        "patch_memory: distances to remembered normal patches, ready in seconds, for a start with few parts",
    )
    flow: FlowSpec = FlowSpec()
    patch_memory: PatchMemorySpec = PatchMemorySpec()
    noise: NoiseSpec = NoiseSpec()
    training: TrainingSpec = TrainingSpec()
    foreground: ForegroundSpec = ForegroundSpec()
    scoring: ScoringSpec = ScoringSpec()
    thresholds: ThresholdSpec = ThresholdSpec()
    export: ExportSpec = ExportSpec()
    licences: dict[Literal["extractor", "flow", "foreground"], str] = Field(
        default={},
        description="licences of the weights, such as Apache-2.0; go into the bundle and its report",
    )

    @model_validator(mode="after")
    def _views_of_the_geometry_exist(self) -> Recipe:
        mirror = () if self.data.mirror == "published" else self.data.mirror
        unknown = sorted(set(mirror) - set(self.data.views or mirror))
        if unknown:
            raise ValueError(f"data.mirror: not among data.views: {', '.join(unknown)}")
        unknown = sorted(set(self.image.geometry) - set(self.data.views or self.image.geometry))
        if unknown:
            raise ValueError(f"image.geometry: not among data.views: {', '.join(unknown)}")
        return self


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; relative paths in it are relative to its folder.

    Raises:
        ConfigError: with every problem, each with its path, line and what is allowed.
    """
    data, lines = read_yaml(path)
    if isinstance(data, dict) and "network" in data:
        raise ConfigError(
            f"{path}: describes a network that was trained elsewhere (section network): only 'edgeflow "
            "export --recipe' takes it, there is nothing to train"
        )
    recipe = parse_document(Recipe, data, what=str(path), error=ConfigError, lines=lines)
    base = named_in_text(path.resolve().parent)
    update: dict[str, object] = {
        "data": recipe.data.model_copy(update={"root": against(base, recipe.data.root)})
    }
    extractor = recipe.extractor
    if isinstance(extractor, TimmExtractor | EfficientNetB5Extractor) and isinstance(extractor.weights, Path):
        update["extractor"] = extractor.model_copy(update={"weights": against(base, extractor.weights)})
    if recipe.training.initial is not None:
        initial = against(base, recipe.training.initial)
        update["training"] = recipe.training.model_copy(update={"initial": initial})
    files = {
        key: against(base, path)
        for key in ("weights", "masks")
        if (path := getattr(recipe.foreground, key)) is not None
    }
    update["foreground"] = recipe.foreground.model_copy(update=files)
    return recipe.model_copy(update=update)


def load_export_recipe(path: Path) -> Recipe | ImportRecipe:
    """Read the recipe of a trained model, or of a network from elsewhere, which has a section ``network``.

    Raises:
        ConfigError: as :func:`load_recipe`.
    """
    data, lines = read_yaml(path)
    if not isinstance(data, dict) or "network" not in data:
        return load_recipe(path)
    recipe = parse_document(ImportRecipe, data, what=str(path), error=ConfigError, lines=lines)
    base = named_in_text(path.resolve().parent)
    foreground = recipe.foreground
    if foreground.masks is not None:
        foreground = foreground.model_copy(update={"masks": against(base, foreground.masks)})
    network = recipe.network.model_copy(update={"file": against(base, recipe.network.file)})
    update: dict[str, object] = {"root": against(base, recipe.data.root)}
    if "validation_fraction" not in recipe.data.model_fields_set:
        update["validation_fraction"] = HELD_OUT_OF_IMPORTED
    data_spec = recipe.data.model_copy(update=update)
    return recipe.model_copy(update={"data": data_spec, "network": network, "foreground": foreground})


def with_graph(recipe: Recipe, name: str) -> Recipe:
    """The recipe with another neighbour graph.

    Raises:
        ConfigError: unknown graph, or one whose published code is faulty.
    """
    view_graph(name, 1)
    return recipe.model_copy(update={"flow": recipe.flow.model_copy(update={"graph": name})})


def with_model(recipe: Recipe, model: ModelKind) -> Recipe:
    """The recipe with another head on the same features."""
    return recipe.model_copy(update={"model": model})
