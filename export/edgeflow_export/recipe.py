"""A recipe: what to train and how to export it, as frozen models read from YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from edgeflow.calibration.detection_rates import MIN_RECALL
from edgeflow.contracts.documents.document import Document, parse_document
from edgeflow.contracts.documents.paths import against, named_in_text
from edgeflow.contracts.documents.strict_yaml import read_yaml
from edgeflow.contracts.manifest import Scoring, ViewId
from edgeflow.errors import ConfigError
from edgeflow_export.models.view_graph import GRAPHS, view_graph

__all__ = [
    "DataSpec",
    "EfficientNetB5Extractor",
    "ExportSpec",
    "ExtractorSpec",
    "FlowSpec",
    "ForegroundSpec",
    "FunctionExtractor",
    "ImageSpec",
    "NoiseSpec",
    "Recipe",
    "ScoringSpec",
    "SelfSupervisedExtractor",
    "ThresholdSpec",
    "TimmExtractor",
    "TrainingSpec",
    "load_recipe",
    "with_graph",
]

HEADED = frozenset({"distilled", "auto"})
"""Kinds of foreground for which a head is trained."""

AUGMENTED_MULTIPLE = 512
"""Sides that MVANet takes at every scale of its test-time augmentation."""

Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(gt=0.0, lt=1.0)]
Precision = Literal["fp32", "bf16", "int8"]
Backend = Literal["openvino", "onnxruntime"]


class DataSpec(Document):
    """Recorded parts: the layout of Real-IAD or MVTec AD, or one folder per part."""

    root: Path
    class_name: str | None = Field(default=None, description="which class, where root holds several")
    views: tuple[ViewId, ...] | None = Field(default=None, description="the views used, first one the hub")
    mirror: tuple[ViewId, ...] | Literal["published"] = Field(
        default=(),
        description="views flipped left-right while loading; 'published': Multi-Flow's own for the Real-IAD "
        "class",
    )
    validation_fraction: Fraction = Field(default=0.15, description="normal parts held out for thresholds")


class ImageSpec(Document):
    """Size of the model image, and depth of the recorded ones."""

    height: Positive
    width: Positive
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


class TimmExtractor(Document):
    """Any timm model that offers ``features_only``."""

    kind: Literal["timm"]
    model: str = Field(min_length=1)
    layer: int = Field(description="index into the model's feature_info; negative counts from the end")
    weights: Path | None = Field(default=None, description="safetensors or torch file; default: timm's own")


class EfficientNetB5Extractor(Document):
    """The published extractor: EfficientNet-B5 to block 35, 304 channels at stride 32."""

    kind: Literal["efficientnet_b5"]
    weights: Path = Field(description="efficientnet_pytorch's file, or one with timm's names")


class FunctionExtractor(Document):
    """``module:function`` that returns a torch module: normalised RGB (N, 3, H, W) to (N, C, h, w)."""

    kind: Literal["function"]
    target: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
    arguments: dict[str, str | int | float | bool] = Field(default_factory=dict)


class SelfSupervisedExtractor(Document):
    """A small network trained by the recipe itself on normal parts with cut-and-paste defects."""

    kind: Literal["self_supervised"]
    channels: Positive = 64
    steps: Positive = 3000
    batch: Positive = 16
    learning_rate: float = Field(default=1e-3, gt=0)


ExtractorSpec = Annotated[
    TimmExtractor | EfficientNetB5Extractor | FunctionExtractor | SelfSupervisedExtractor,
    Field(discriminator="kind"),
]


def _published_graph(name: str) -> str:
    try:
        view_graph(name, 1)
    except ConfigError as cause:
        raise ValueError(str(cause)) from cause
    return name


class FlowSpec(Document):
    """Multi-Flow's architecture (arXiv 2504.03306); the defaults are the published ones."""

    graph: Annotated[str, AfterValidator(_published_graph)] = Field(
        default="cs_neigh", json_schema_extra={"enum": list(GRAPHS)}
    )
    hidden: Positive = 64
    kernels: tuple[Literal[1, 3, 5, 7], ...] = Field(default=(3, 3, 3, 3, 3, 5), min_length=1)
    clamp: float = Field(default=1.9, gt=0)


class NoiseSpec(Document):
    """Noise conditioning: mode 0 none, 1 fixed deviation, 2 deviation c² with c ~ U(0,1), 3 uniform."""

    mode: Literal[0, 1, 2, 3] = 1
    deviation: float = Field(default=0.15, ge=0)
    factor: float = Field(default=20.0, gt=0)


class TrainingSpec(Document):
    """Optimizer and schedule; the defaults are the published ones."""

    epochs: Positive = 40
    batch: Positive = 8
    learning_rate: float = Field(default=2e-4, gt=0)
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=1e-5, ge=0)
    seed: int = Field(default=0, ge=0)
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
        description="stop after so many epochs without a lower loss of the held-out normal parts, and keep "
        "the best epoch; default: never",
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


class ScoringSpec(Document):
    """How maps become scores; see the manifest's Scoring.

    A defect that one view shows is not averaged away by the others. A share of the map means the same at
    every map size, where a number of pixels does not. ``edgeflow evaluate`` shows how others rank parts.
    """

    view: Literal["max", "mean", "top_k"] = "top_k"
    top_k: Positive | Fraction | None = Field(
        default=0.02, description="how many of the highest pixels, or below 1 which share of the map's"
    )
    part: Literal["mean", "max"] = "max"
    pixel_statistics: bool = False

    @model_validator(mode="after")
    def _top_k_is_given(self) -> ScoringSpec:
        if self.view == "top_k" and self.top_k is None:
            raise ValueError("view: top_k needs top_k, such as 0.02; or set view: max or mean")
        return self

    def scoring(self, statistics_file: str | None) -> Scoring:
        """The manifest's form."""
        top = self.top_k if self.view == "top_k" else None
        return Scoring(
            view=self.view,
            top_k=top if isinstance(top, int) else None,
            top_share=top if isinstance(top, float) else None,
            part=self.part,
            pixel_statistics=statistics_file,
        )


class ForegroundSpec(Document):
    """Which pixels belong to the part; background counts as 0 in every score (Multi-Flow, section 3).

    ``mvanet``: the published network; ``distilled``: a small head on the extractor's features that learns
    its masks from MVANet or from ``masks``; ``fixed``: one mask per view; ``auto``: the cheapest of them that
    keeps masks and verdicts within budget of MVANet's, or of ``masks``.
    """

    kind: Literal["none", "fixed", "distilled", "mvanet", "auto"] = "none"
    weights: Path | None = Field(default=None, description="MVANet's checkpoint")
    size: int = Field(default=1024, gt=0, multiple_of=128, description="side of MVANet's image")
    augmentation: bool | None = Field(
        default=None,
        description="mean over six looks, as published; default: where the size allows it, a multiple of 512",
    )
    masks: Path | None = Field(
        default=None,
        description="folder of masks, white is foreground: <view>.png for all parts, or <part>/<view>.png",
    )
    precision: Precision = Field(
        default="fp32",
        description="of MVANet's graph on OpenVINO; less than fp32 only where masks and verdicts allow it",
    )
    min_iou: Fraction = Field(
        default=0.9, description="a cheaper kind's agreement with the masks that it stands in for"
    )
    max_flip_rate: float = Field(default=0.02, ge=0, le=1, description="verdicts changed by a cheaper kind")

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> ForegroundSpec:
        if self.kind == "mvanet" and self.weights is None:
            raise ValueError("kind: mvanet needs weights, MVANet's checkpoint")
        if self.kind in HEADED and self.weights is None and self.masks is None:
            raise ValueError(f"kind: {self.kind} needs weights (MVANet's checkpoint) or masks to learn from")
        if self.kind == "fixed" and self.masks is None and self.weights is None:
            raise ValueError("kind: fixed needs masks, a folder with one <view>.png per view, or weights")
        if self.augmentation and self.size % AUGMENTED_MULTIPLE:
            raise ValueError(f"size {self.size}: with augmentation, sizes are multiples of 512")
        return self

    @property
    def augmented(self) -> bool:
        """Whether MVANet takes six looks."""
        return self.size % AUGMENTED_MULTIPLE == 0 if self.augmentation is None else self.augmentation


class ThresholdSpec(Document):
    """Thresholds from held-out normal parts."""

    false_reject_rate: Fraction = 0.01
    method: Literal["auto", "quantile", "tail"] = Field(
        default="auto",
        description="the quantile of the normal scores, or an extreme-value tail of the highest; auto: the "
        "quantile where there are enough parts for the rate, else the tail from 40 parts on",
    )
    missing_views: int = Field(
        default=0, ge=0, description="how many views of a part may be missing: a threshold for each such set"
    )


class ExportSpec(Document):
    """What the bundle holds, and what it must reach."""

    backends: tuple[Backend, ...] = Field(default=("openvino", "onnxruntime"), min_length=1)
    precisions: tuple[Precision, ...] = Field(default=("fp32", "int8"), min_length=1)
    golden_parts: Positive = 2
    calibration_parts: Positive = 32
    tolerance_fp32: float = Field(default=1e-4, gt=0, description="relative map error against torch")
    tolerance_int8: float = Field(default=0.25, gt=0, description="the same on normal parts, for int8 graphs")
    tolerance_replay: float = Field(
        default=0.05, gt=0, description="int8 on the box against int8 at export: kernels differ by processor"
    )
    max_flip_rate: float = Field(default=0.005, ge=0, le=1, description="verdicts changed by int8")
    min_rank_correlation: float = Field(default=0.95, ge=-1, le=1)
    max_auroc_drop: float = Field(
        default=0.002, ge=0, le=1, description="part AUROC lost by int8, where test parts are labelled"
    )
    min_recall: float = Field(
        default=MIN_RECALL,
        ge=0,
        le=1,
        description="nothing is written where labelled defective parts show, with 95 % confidence, that the "
        "threshold rejects fewer of such parts",
    )
    min_speedup: float = Field(
        default=1.0,
        ge=0,
        description="export says where int8 is less than so many times as fast as fp32 on its machine; it "
        "never decides what the bundle holds; 0: not measured",
    )
    int8_required: bool = Field(
        default=False, description="write nothing, rather than a bundle without the int8 that precisions name"
    )


class Recipe(Document):
    """One product on one class of devices."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
    data: DataSpec
    image: ImageSpec
    extractor: ExtractorSpec
    flow: FlowSpec = FlowSpec()
    noise: NoiseSpec = NoiseSpec()
    training: TrainingSpec = TrainingSpec()
    foreground: ForegroundSpec = ForegroundSpec()
    scoring: ScoringSpec = ScoringSpec()
    thresholds: ThresholdSpec = ThresholdSpec()
    export: ExportSpec = ExportSpec()
    licences: dict[Literal["extractor", "flow", "foreground"], str] = Field(
        default={}, description="of the weights, such as Apache-2.0; goes into the bundle and its report"
    )

    @model_validator(mode="after")
    def _mirrored_views_exist(self) -> Recipe:
        mirror = () if self.data.mirror == "published" else self.data.mirror
        unknown = sorted(set(mirror) - set(self.data.views or mirror))
        if unknown:
            raise ValueError(f"data.mirror: not among data.views: {', '.join(unknown)}")
        return self


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; relative paths in it are relative to its folder.

    Raises:
        ConfigError: with every problem, each with its path, line and what is allowed.
    """
    data, lines = read_yaml(path)
    recipe = parse_document(Recipe, data, what=str(path), error=ConfigError, lines=lines)
    base = named_in_text(path.resolve().parent)
    update: dict[str, object] = {
        "data": recipe.data.model_copy(update={"root": against(base, recipe.data.root)})
    }
    if isinstance(recipe.extractor, TimmExtractor | EfficientNetB5Extractor) and recipe.extractor.weights:
        weights = against(base, recipe.extractor.weights)
        update["extractor"] = recipe.extractor.model_copy(update={"weights": weights})
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


def with_graph(recipe: Recipe, name: str) -> Recipe:
    """The recipe with another neighbour graph.

    Raises:
        ConfigError: unknown graph, or one whose published code is faulty.
    """
    view_graph(name, 1)
    return recipe.model_copy(update={"flow": recipe.flow.model_copy(update={"graph": name})})
