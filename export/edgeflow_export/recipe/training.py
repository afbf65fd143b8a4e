"""Sections of a recipe that say what is trained, and on which parts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from edgeflow.contracts.datasets.layouts import LAYOUTS
from edgeflow.contracts.documents.document import Document
from edgeflow.contracts.geometry.tiles import TileGrid, Tiles
from edgeflow.contracts.geometry.view_spec import Fit, require_possible_size
from edgeflow.contracts.manifest import ViewId
from edgeflow.errors import ConfigError
from edgeflow_export.models.view_graph import GRAPHS, view_graph
from edgeflow_export.recipe.geometry import GeometrySpec
from edgeflow_export.recipe.units import Fraction, Positive

__all__ = ["DataSpec", "FlowSpec", "ImageSpec", "ModelKind", "NoiseSpec", "PatchMemorySpec", "TrainingSpec"]

ModelKind = Literal["multi_flow", "patch_memory"]
"""Heads that make anomaly maps of features."""


def _known_layout(name: str) -> str:
    if name not in LAYOUTS:
        raise ValueError(f"no layout '{name}'; known are {', '.join(LAYOUTS)}")
    return name


class DataSpec(Document):
    """Recorded parts: a published data set, an export of annotations, or one folder per part."""

    root: Path = Field(description="folder of recorded parts")
    class_name: str | None = Field(default=None, description="class to train on, where root holds several")
    views: tuple[ViewId, ...] | None = Field(
        default=None,
        description="views that are used, the hub of the neighbour graph first; default: all, sorted by name",
    )
    mirror: tuple[ViewId, ...] | Literal["published"] = Field(
        default=(),
        description="views that are flipped left to right while loading; 'published': those that Multi- "
        "Flow flips for the Real-IAD class",
    )
    validation_fraction: Fraction = Field(
        default=0.15, description="share of the normal parts that is held out for thresholds"
    )
    stopping_fraction: Fraction = Field(
        default=0.1,
        description="with training.early_stopping: share of the normal parts whose loss tells when to stop; "
        "these parts neither train nor set thresholds",
    )
    layout: Annotated[str, AfterValidator(_known_layout)] | None = Field(
        default=None,
        json_schema_extra={"enum": [*LAYOUTS, None]},
        description="layout of root; default: as the folder shows, which 'edgeflow data inspect' says",
    )
    split: str | None = Field(
        default=None,
        description="table that splits the parts, where a data set has several: of VisA 1cls, 2cls_highshot "
        "or 2cls_fewshot; default: 1cls",
    )
    unannotated: Literal["normal", "left_out"] | None = Field(
        default=None,
        description="parts of an export of annotations that nobody has annotated: normal parts, or parts "
        "that nobody has looked at and that are left out; where there are any, it must be said",
    )

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Without the keys that older recipes do not have, where they are not used: hashes stay the same."""
        content: dict[str, object] = handler(self)
        return {key: value for key, value in content.items() if key not in _LATER or value is not None}


_LATER = frozenset({"layout", "split", "unannotated"})


class ImageSpec(Document):
    """The model image: its size, the geometry that leads to it, and the depth of the recorded images."""

    height: Positive = Field(description="height of the model's image in pixels")
    width: Positive = Field(description="width of the model's image in pixels")
    bits: int | None = Field(
        default=None,
        ge=8,
        le=16,
        description="significant bits of image files with more than 8, such as 12 for unshifted Mono12; "
        "default: what the files state, else all of theirs",
    )
    allow_dark: bool = Field(
        default=False, description="train although no value reaches a quarter of the range of these bits"
    )
    fit: Fit = Field(
        default="stretch",
        description="of images with other proportions: stretch, or letterbox: padded with the mean colour",
    )
    tiles: Tiles | None = Field(
        default=None,
        description="tiles that the extractor sees one by one, joined to one map; default: the whole image",
    )
    geometry: dict[ViewId, GeometrySpec] = Field(
        default={}, description="view → crop, quarter turns, mirroring, rectification and fit of its own"
    )

    @model_validator(mode="after")
    def _tiles_cover_the_image(self) -> ImageSpec:
        require_possible_size(self.height, self.width)
        if self.tiles is not None:
            TileGrid.of(self.tiles, self.height, self.width)
        return self


def _published_graph(name: str) -> str:
    try:
        view_graph(name, 1)
    except ConfigError as cause:
        raise ValueError(str(cause)) from cause
    return name


class FlowSpec(Document):
    """Multi-Flow's architecture (arXiv 2504.03306); the defaults are the published ones."""

    graph: Annotated[str, AfterValidator(_published_graph)] = Field(
        default="cs_neigh",
        json_schema_extra={"enum": list(GRAPHS)},
        description="neighbour graph: pairs of views that exchange messages; the default is the published "
        "one",
    )
    hidden: Positive = Field(default=64, description="hidden channels of each coupling block's subnet")
    kernels: tuple[Literal[1, 3, 5, 7], ...] = Field(
        default=(3, 3, 3, 3, 3, 5),
        min_length=1,
        description="kernel size in pixels of each coupling block; their number is the number of blocks",
    )
    clamp: float = Field(default=1.9, gt=0, description="bound of the coupling blocks' scale (soft clamping)")


class PatchMemorySpec(Document):
    """A bank of normal patches per view, with ``model: patch_memory`` (PatchCore, arXiv 2106.08265)."""

    patches: Positive | None = Field(
        default=4000,
        description="patches per view, chosen to lie far apart; null: all of the training parts, which takes "
        "most memory and time on the box",
    )
    averaging: bool = Field(
        default=True, description="a patch is the mean over 3x3 pixels of the feature map, not one pixel"
    )
    projection: Positive = Field(
        default=32,
        description="dimensions of the random projection in which patches are chosen; what is remembered is "
        "not projected",
    )


class NoiseSpec(Document):
    """Noise conditioning: mode 0 none, 1 fixed deviation, 2 deviation c² with c ~ U(0,1), 3 uniform."""

    mode: Literal[0, 1, 2, 3] = Field(
        default=1,
        description="noise added to the features: 0 none, 1 normal with the given deviation, 2 normal with "
        "deviation c² and c ~ U(0,1), 3 uniform in 0 to 1",
    )
    deviation: float = Field(default=0.15, ge=0, description="standard deviation of the noise in mode 1")
    factor: float = Field(
        default=20.0, gt=0, description="the noise times this factor is what the flow is conditioned on"
    )


class TrainingSpec(Document):
    """Optimizer and schedule; the defaults are the published ones."""

    epochs: Positive = Field(default=40, description="number of passes over the training parts")
    batch: Positive = Field(default=8, description="parts per training step")
    learning_rate: float = Field(default=2e-4, gt=0, description="learning rate of the optimizer")
    betas: tuple[float, float] = Field(default=(0.9, 0.95), description="the optimizer's two decay rates")
    eps: float = Field(default=1e-8, gt=0, description="the optimizer's term against division by zero")
    weight_decay: float = Field(default=1e-5, ge=0, description="the optimizer's weight decay")
    seed: int = Field(
        default=0,
        ge=0,
        description="seed of all random numbers; the same seed repeats a run on the same machine",
    )
    standardise: Literal["none", "channel", "position"] = Field(
        default="channel",
        description="features on the normal parts: per channel, or per channel, view and pixel, for parts "
        "that always lie the same way",
    )
    precision: Literal["fp32", "bf16"] = Field(
        default="fp32", description="bf16: products in bfloat16; weights, log-determinant and loss stay fp32"
    )
    early_stopping: Positive | None = Field(
        default=None,
        description="stop after so many epochs without a lower loss of normal parts kept for this alone "
        "(data.stopping_fraction), and keep the best epoch; default: never",
    )
    initial: Path | None = Field(
        default=None,
        description="official Multi-Flow file to go on from, with standardise: none",
    )

    @model_validator(mode="after")
    def _official_features_are_not_standardised(self) -> TrainingSpec:
        if self.initial is not None and self.standardise != "none":
            raise ValueError("initial: official flows know features as they are; set standardise: none")
        return self
