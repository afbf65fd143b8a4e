"""The recipe of a network from elsewhere: the file, what it expects, and how its output is judged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from edgeflow.contracts.documents.document import Document
from edgeflow_export.recipe.export import ExportSpec, ForegroundSpec, ScoringSpec, ThresholdSpec
from edgeflow_export.recipe.training import DataSpec, ImageSpec, TrainingSpec

__all__ = [
    "HELD_OUT_OF_IMPORTED",
    "ImportRecipe",
    "NetworkSpec",
    "RecipeName",
]

HELD_OUT_OF_IMPORTED = 0.75
"""Share of the good parts that set thresholds: nothing is trained, the others only set INT8 ranges."""

Channels = Annotated[tuple[float, float, float], Field(description="red, green, blue")]
RecipeName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class NetworkSpec(Document):
    """A trained network in a file of its own, and how images become its input.

    A pixel p from 0 to 255 becomes ``(low + p / 255 * (high - low) - mean) / std``, each channel by itself.
    """

    file: Path = Field(
        description="ONNX file; with origin: anomalib also an OpenVINO graph, or the folder of its export"
    )
    origin: Literal["onnx", "anomalib"] = Field(
        default="onnx",
        description="anomalib: the image is its own (0 to 1, normalised inside), and the map is taken before "
        "it is normalised and clamped",
    )
    output: str | None = Field(
        default=None,
        description="name of the output that is the map or the score; needed where there are more",
    )
    value_range: tuple[float, float] = Field(
        default=(0.0, 1.0), description="what black and white become before mean and std"
    )
    mean: Channels = Field(default=(0.0, 0.0, 0.0), description="subtracted, in red, green, blue")
    std: Channels = Field(default=(1.0, 1.0, 1.0), description="divided by, in red, green, blue")
    colour: Literal["rgb", "bgr"] = Field(
        default="rgb", description="order of the channels that the network reads"
    )

    @property
    def says_values(self) -> bool:
        """True if it says how pixels become numbers, be it by naming a default."""
        return bool(self.model_fields_set & {"value_range", "mean", "std"})

    @model_validator(mode="after")
    def _is_a_scale(self) -> NetworkSpec:
        if any(value <= 0 for value in self.std):
            raise ValueError("std: every value must be above 0")
        if self.value_range[1] <= self.value_range[0]:
            raise ValueError("value_range: the second value is white's and must be above the first")
        preset = NetworkSpec.model_fields
        changed = [
            key
            for key in ("value_range", "mean", "std", "colour")
            if getattr(self, key) != preset[key].default
        ]
        if self.origin == "anomalib" and changed:
            raise ValueError(f"anomalib's graphs prepare images themselves; remove {', '.join(changed)}")
        return self


class ImportRecipe(Document):
    """One product judged by a network that was trained elsewhere."""

    name: RecipeName = Field(description="name of the product, which the bundle bears")
    data: DataSpec = Field(
        description="parts; the good ones set thresholds (validation_fraction, here 0.75) and INT8 ranges"
    )
    network: NetworkSpec
    image: ImageSpec | None = Field(default=None, description="default: the size that the file names")
    foreground: ForegroundSpec = Field(
        default=ForegroundSpec(), description="none or fixed; a network from elsewhere has no head"
    )
    scoring: ScoringSpec = Field(
        default=ScoringSpec(view="max", top_k=None), description="default: the highest pixel of any view"
    )
    thresholds: ThresholdSpec = ThresholdSpec()
    export: ExportSpec = ExportSpec()
    licences: dict[Literal["network", "foreground"], str] = Field(
        default={}, description="licences of the weights; go into the bundle and its report"
    )

    @property
    def size(self) -> tuple[int | None, int | None]:
        """Height and width of the network's image, where they are named."""
        return (None, None) if self.image is None else (self.image.height, self.image.width)

    @property
    def training(self) -> TrainingSpec:
        """The split's seed: the default one."""
        return TrainingSpec()

    @model_validator(mode="after")
    def _scores_without_training(self) -> ImportRecipe:
        if self.scoring.pixel_statistics or self.scoring.standardise_views:
            raise ValueError(
                "scoring: pixel_statistics and standardise_views come from training; a network that was "
                "trained elsewhere has none"
            )
        if self.foreground.kind not in {"none", "fixed"}:
            raise ValueError("foreground: a network from elsewhere goes with kind none or fixed")
        if self.image is not None and self.image.tiles is not None:
            raise ValueError("image.tiles: a network from elsewhere sees its whole image; remove tiles")
        return self
