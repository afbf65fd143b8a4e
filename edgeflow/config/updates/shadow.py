"""Section ``shadow``: a candidate bundle that scores the box's parts beside the one that inspects."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from edgeflow.config.products.section import ProductName
from edgeflow.contracts.documents.document import Document

__all__ = ["ShadowConfig"]


class ShadowConfig(Document):
    """A candidate bundle in a process of its own; its verdicts are compared and never reach the gate."""

    bundle: Path = Field(
        description="bundle file of the candidate, or a link to it; it is looked at every few seconds, and a "
        "new one is loaded while the box runs"
    )
    product: ProductName | None = Field(
        default=None, description="product whose parts it scores, on a box with several"
    )
    device: str = Field(
        default="CPU", description="where it runs, as in runtime.device; a processor is paused for the line"
    )
    memory_mb: int = Field(
        default=2048, ge=16, description="megabytes that its process may use; beyond it, it is ended"
    )
    part_limit_s: float = Field(
        default=60,
        gt=0,
        le=3600,
        description="seconds that one part may take it, while no part is being decided; then it hangs and "
        "is ended",
    )
    max_parts: int = Field(
        default=100_000, ge=100, description="compared parts that are kept; beyond it the oldest are removed"
    )
    max_pictures: int = Field(
        default=200, ge=0, description="pictures of parts that would turn; beyond it the oldest are removed"
    )
