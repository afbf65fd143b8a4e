"""Sections of a recipe that say how the model becomes scores, thresholds and graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from edgeflow.calibration.detection_rates import MIN_RECALL
from edgeflow.contracts.documents.document import Document
from edgeflow.contracts.scoring import Scoring, ViewScale
from edgeflow_export.recipe.units import Fraction, Positive, Precision

__all__ = [
    "AUGMENTED_MULTIPLE",
    "HEADED",
    "Backend",
    "ExportSpec",
    "ForegroundSpec",
    "ScoringSpec",
    "ThresholdSpec",
]

HEADED = frozenset({"distilled", "auto"})
"""Kinds of foreground for which a head is trained."""

AUGMENTED_MULTIPLE = 512
"""Sides that MVANet takes at every scale of its test-time augmentation."""

Backend = Literal["openvino", "onnxruntime"]


class ScoringSpec(Document):
    """Rules by which maps become scores; see the manifest's Scoring.

    A defect that one view shows is not averaged away by the others. A share of the map means the same at
    every map size, where a number of pixels does not. ``edgeflow evaluate`` shows how others rank parts.
    """

    view: Literal["max", "mean", "top_k"] = Field(
        default="top_k",
        description="view score: the map's maximum, its mean, or the mean of its highest pixels (top_k)",
    )
    top_k: Positive | Fraction | None = Field(
        default=0.02,
        description="number of highest pixels, or below 1 the share of the map's pixels; with view top_k",
    )
    part: Literal["mean", "max"] = Field(
        default="max", description="part score: mean or maximum of the view scores"
    )
    pixel_statistics: bool = Field(
        default=False,
        description="standardise every pixel of the map with its mean and deviation on normal parts",
    )
    blur: Literal["none", "mean_2x2", "gaussian"] = Field(
        default="none",
        description="blur of the masked map before it is pooled: none, the mean of 2 by 2 pixels, or a "
        "Gaussian with a deviation of 0.8 pixels",
    )
    standardise_views: bool = Field(
        default=False,
        description="bring every view's score to the mean and deviation that the views of training parts "
        "share, before they become the part score",
    )

    @model_validator(mode="after")
    def _top_k_is_given(self) -> ScoringSpec:
        if self.view == "top_k" and self.top_k is None:
            raise ValueError("view: top_k needs top_k, such as 0.02; or set view: max or mean")
        return self

    def scoring(self, statistics_file: str | None, view_scales: tuple[ViewScale, ...] | None) -> Scoring:
        """The manifest's form."""
        top = self.top_k if self.view == "top_k" else None
        return Scoring(
            view=self.view,
            top_k=top if isinstance(top, int) else None,
            top_share=top if isinstance(top, float) else None,
            part=self.part,
            blur=None if self.blur == "none" else self.blur,
            pixel_statistics=statistics_file,
            view_scales=view_scales if self.standardise_views else None,
        )


class ForegroundSpec(Document):
    """Pixels that belong to the part; background counts as 0 in every score (Multi-Flow, section 3).

    ``mvanet``: the published network; ``distilled``: a small head on the extractor's features that learns
    its masks from MVANet or from ``masks``; ``fixed``: one mask per view; ``auto``: the cheapest of them that
    keeps masks and verdicts within budget of MVANet's, or of ``masks``.
    """

    kind: Literal["none", "fixed", "distilled", "mvanet", "auto"] = Field(
        default="none", description="source of the foreground; see above"
    )
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
        """True if MVANet takes six looks."""
        return self.size % AUGMENTED_MULTIPLE == 0 if self.augmentation is None else self.augmentation


class ThresholdSpec(Document):
    """Thresholds from held-out normal parts."""

    false_reject_rate: Fraction = Field(default=0.01, description="share of good parts that may be rejected")
    method: Literal["auto", "quantile", "tail"] = Field(
        default="auto",
        description="the quantile of the normal scores, or an extreme-value tail of the highest; auto: the "
        "quantile where there are enough parts for the rate, else the tail from 40 parts on",
    )
    missing_views: int = Field(
        default=0,
        ge=0,
        description="number of views of a part that may be missing; every such set of views gets a threshold",
    )


class ExportSpec(Document):
    """Content of the bundle, and the limits that it must keep."""

    backends: tuple[Backend, ...] = Field(
        default=("openvino", "onnxruntime"),
        min_length=1,
        description="libraries for which the bundle holds graphs",
    )
    precisions: tuple[Precision, ...] = Field(
        default=("fp32", "int8"),
        min_length=1,
        description="precisions of the graphs; fp32 is always the reference",
    )
    golden_parts: Positive = Field(
        default=2, description="number of golden parts in the bundle, which boxes replay before they run it"
    )
    calibration_parts: Positive = Field(
        default=32, description="number of normal parts from which int8 ranges are calibrated"
    )
    weights: Literal["half", "full"] = Field(
        default="half",
        description="range of the integers that int8 weights become; full: for boxes with VNNI alone, others "
        "overflow and refuse the graph at the start",
    )
    rounding: Literal["second_order", "nearest"] = Field(
        default="second_order",
        description="of the extractor's int8 weights: so that its features move least on normal parts, or "
        "each weight by itself; with nearest, the convolution of the image stays in float",
    )
    headroom: float = Field(
        default=3.0,
        ge=1,
        description="factor on the int8 ranges of what the flow's convolutions read, since defects go beyond "
        "what normal parts show",
    )
    equalise: bool = Field(
        default=False,
        description="balance the channels between the extractor's convolutions before they are quantized; "
        "the float graphs stay as they are",
    )
    tolerance_fp32: float = Field(
        default=1e-4, gt=0, description="largest relative map error of fp32 graphs against torch"
    )
    tolerance_int8: float = Field(
        default=0.5,
        gt=0,
        description="largest median of the relative map error of a reduced graph on the foreground of the "
        "held-out parts; a sanity check: another training seed alone gives 0.31",
    )
    tolerance_replay: float = Field(
        default=0.05,
        gt=0,
        description="largest relative map error of int8 on the box against int8 at export, since kernels "
        "differ by processor",
    )
    max_score_bias: float = Field(
        default=0.02,
        gt=0,
        description="largest mean by which a reduced graph moves scaled scores near the threshold, 0.8 to "
        "1.25",
    )
    max_score_deviation: float = Field(
        default=0.1, gt=0, description="largest standard deviation of these movements"
    )
    max_flip_rate: float = Field(
        default=0.005,
        ge=0,
        le=1,
        description="share of verdicts that a reduced graph may change, each graph judged by its own "
        "threshold; what this share gives by chance in 95 % of samples is allowed",
    )
    max_auroc_drop: float = Field(
        default=0.002,
        ge=0,
        le=1,
        description="loss of part AUROC that the lower end of its 95 % interval may reach, where test parts "
        "are labelled",
    )
    max_aupro_drop: float = Field(
        default=0.002, ge=0, le=1, description="the same of AUPRO, where defects have masks"
    )
    min_rank_correlation: float | None = Field(
        default=None,
        ge=-1,
        le=1,
        description="of older recipes; read, and no longer a limit: max_score_deviation stands in its place",
    )
    min_recall: float = Field(
        default=MIN_RECALL,
        ge=0,
        le=1,
        description="nothing is written where labelled defective parts show, with 95 % confidence, that the "
        "threshold rejects fewer of such parts",
    )
    min_speedup: float | None = Field(
        default=None,
        ge=0,
        description="of older recipes; read, and not used: edgeflow check and bench judge speed on the box",
    )
    int8_required: bool = Field(
        default=False,
        description="fail instead of writing a bundle without the int8 graph that precisions names",
    )

    @property
    def outdated(self) -> tuple[str, ...]:
        """Notes on keys of older recipes whose meaning has changed, one sentence for each that was chosen."""
        chosen = {key: getattr(self, key) for key in self.model_fields_set if key in _OUTDATED}
        return tuple(
            f"export.{key} {_OUTDATED[key][1]}"
            for key, value in sorted(chosen.items())
            if value not in (_OUTDATED[key][0], ExportSpec.model_fields[key].default)
        )


_OUTDATED: dict[str, tuple[float, str]] = {
    "min_rank_correlation": (
        0.95,
        "is read and no longer a limit: max_score_bias and max_score_deviation judge scores near the "
        "threshold; remove it",
    ),
    "min_speedup": (
        1.0,
        "is read and not used: 'edgeflow check' says on the box where another graph is faster, and 'edgeflow "
        "bench --choose' changes it; remove it",
    ),
    "tolerance_int8": (
        0.25,
        "now limits the median map error on the foreground of all held-out parts; it was the largest error "
        "of two parts",
    ),
    "max_flip_rate": (
        0.005,
        "is now compared by chance: so many changed verdicts are allowed as this rate gives in 95 % of "
        "samples, each graph judged by its own threshold",
    ),
    "max_auroc_drop": (0.002, "is now compared with the lower end of the drop's 95 % interval"),
}
"""Key → its default before, and what it means now; a checkpoint's recipe names every key."""
