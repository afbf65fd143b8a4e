"""The results of an evaluation, as a document that people and programs keep."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from edgeflow.contracts.documents.document import Document
from edgeflow.contracts.manifest import Scoring, Thresholds

__all__ = ["ClassReport", "EvaluationReport", "JudgedPart", "ModelIdentity"]


class ModelIdentity(Document):
    """The model that was measured."""

    checkpoint: str
    sha256: str = Field(description="of the checkpoint file")
    name: str = Field(description="the recipe's")
    class_name: str | None
    graph: str = Field(description="the flow's neighbour graph")
    executed: str | None = Field(default=None, description="graph of a bundle; none: torch")
    views: tuple[str, ...]
    provenance: dict[str, str]


class ClassReport(Document):
    """One kind of defect against all normal parts."""

    parts: int
    part_auroc: float | None
    recall: float | None = Field(description="share rejected at the threshold")


class JudgedPart(Document):
    """One part with its scores; 1.0 is the threshold."""

    part_id: str
    label: str
    score: float
    score_raw: float
    views: dict[str, float]


class EvaluationReport(Document):
    """Figures of one model on one set of test parts; None where a figure needs what is not there."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    schema_: Literal["edgeflow/evaluation/1"] = Field(default="edgeflow/evaluation/1", alias="schema")
    created_by: str
    model: ModelIdentity
    parts_root: str
    parts: int
    defective_parts: int
    part_auroc: float | None = Field(description="S: a part is defective if any view is")
    view_auroc: float | None = Field(description="I; views, pixels and regions need masks of all defects")
    pixel_auroc: float | None = Field(description="P")
    aupro: float | None = Field(description="mean overlap of regions, to 30 % false positives")
    per_view_auroc: dict[str, float | None]
    scoring: Scoring
    poolings: dict[str, dict[Literal["mean", "max"], float | None]] = Field(
        default={}, description="part AUROC from the same maps under other scorings: of views, then of parts"
    )
    thresholds: Thresholds | None = Field(description="raw scores; from held-out normal parts")
    thresholds_missing: str | None = Field(default=None, description="why there are none")
    recall: float | None = Field(description="share of defective parts rejected at the threshold")
    false_reject_rate: float | None = Field(description="share of normal test parts rejected")
    false_accepts: tuple[JudgedPart, ...] | None = Field(description="defective parts passed, worst first")
    false_rejects: tuple[JudgedPart, ...] | None = Field(description="normal parts rejected, worst first")
    classes: dict[str, ClassReport]
    normal_scores: tuple[float, ...] = Field(description="raw part scores")
    defective_scores: tuple[float, ...] = Field(description="raw part scores")
