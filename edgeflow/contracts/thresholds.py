"""Thresholds of a bundle: raw scores to scaled ones, and what is known of the parts behind them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgeflow.contracts.documents.document import Document

__all__ = [
    "Count",
    "Fraction",
    "Interval",
    "LabelledScores",
    "OperatingPoint",
    "Positive",
    "Scale",
    "Thresholds",
    "subset_key",
]

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class Interval(Document):
    """Confidence interval of the score that normal parts exceed at the target rate."""

    low: float
    high: float | None = Field(description="None: the sample does not bound it from above")
    level: Fraction


class Scale(Document):
    """Raw score to scaled score: ``centre`` becomes 0, ``threshold`` becomes 1; never clamped."""

    centre: float
    threshold: float
    method: Literal["quantile", "tail", "highest"] | None = Field(
        default=None,
        description="a quantile of the normal scores, an extreme-value tail of them, or the highest, where "
        "they are too few for either",
    )
    interval: Interval | None = None

    @model_validator(mode="after")
    def _threshold_above_centre(self) -> Scale:
        if not self.threshold > self.centre:
            raise ValueError(f"threshold {self.threshold} is not above centre {self.centre}")
        return self


class OperatingPoint(Document):
    """Labelled parts that one threshold would reject."""

    threshold: float
    false_reject_rate: Fraction
    recall: Fraction


class LabelledScores(Document):
    """Raw scores of labelled test parts, rising: what any part threshold rejects of them can be counted."""

    normal: tuple[float, ...] = ()
    defective: tuple[float, ...] = ()
    normal_parts: Count = Field(
        default=0, description="how many there were; of many, only some scores are kept"
    )
    defective_parts: Count = 0


class Thresholds(Document):
    """Thresholds from normal parts at a target false-reject rate.

    ``subsets`` holds one scale for each allowed set of present views: of the part score from these views
    alone, while the graph is given ``contracts.preprocess.blank_image`` for each absent one.
    """

    part: Scale
    views: dict[str, Scale]
    subsets: dict[str, Scale] = Field(
        default={}, description="where views may be missing: names of the present ones, sorted, joined by ','"
    )
    false_reject_rate: Fraction
    normal_parts: Positive
    operating_curve: tuple[OperatingPoint, ...] = Field(
        default=(), description="where there were labelled parts; the highest threshold first"
    )
    labelled: LabelledScores | None = Field(
        default=None, description="of test parts that the thresholds do not come from"
    )
    note: str | None = Field(default=None, description="what a reader must know, such as a small sample")

    @model_validator(mode="after")
    def _subsets_are_of_its_views(self) -> Thresholds:
        for key in self.subsets:
            present = set(key.split(","))
            if subset_key(present) != key or not present < set(self.views):
                raise ValueError(f"subsets: '{key}' is no sorted list of some of the views")
        return self


def subset_key(present: Iterable[str]) -> str:
    """The name of a set of present views in ``Thresholds.subsets``."""
    return ",".join(sorted(present))
