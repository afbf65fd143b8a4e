"""Section ``products`` of a box file, and the rules that it keeps with other sections."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from edgeflow.config.cameras import CameraConfig
from edgeflow.config.capture import OnMissing
from edgeflow.config.products.names import LONGEST, name_problem, normal_name
from edgeflow.config.units import Milliseconds, PolicyVerdict
from edgeflow.contracts.documents.document import Document
from edgeflow.contracts.manifest import ViewId

__all__ = ["ProductConfig", "ProductName", "Products"]


def _checked_name(text: str) -> str:
    name = normal_name(text)
    problem = name_problem(name)
    if problem:
        raise ValueError(f"the name of a product {problem}")
    return name


ProductName = Annotated[str, AfterValidator(_checked_name), Field(max_length=8 * LONGEST)]


class ProductConfig(Document):
    """One product of the line; its path alone is enough: ``A: a.bundle``. What is left out is as for all."""

    bundle: Path = Field(description="bundle file of this product, or a link to it")
    name: str | None = Field(
        default=None,
        min_length=1,
        description="name of the bundles that this product runs; default: the name of the first one that ran "
        "for it here",
    )
    cameras: dict[ViewId, CameraConfig] = Field(
        default={},
        description="by view, keys in place of those under cameras, such as features or exposure_us; when "
        "the command 'product' names this product, its cameras are opened anew with them",
    )
    deadline_ms: Milliseconds | None = Field(
        default=None, description="in place of decision.deadline_ms, for this product"
    )
    valid_ms: Milliseconds | None = Field(
        default=None, description="in place of decision.valid_ms, for this product"
    )
    on_late: PolicyVerdict | None = Field(
        default=None, description="in place of decision.on_late, for this product"
    )
    on_missing: OnMissing | None = Field(
        default=None, description="in place of sync.on_missing, for this product"
    )
    min_views: int | None = Field(
        default=None, ge=1, description="with on_missing degraded: parts with fewer views are UNDECIDED"
    )

    @model_validator(mode="after")
    def _min_views_belong_to_degraded(self) -> ProductConfig:
        if (self.on_missing == "degraded") != (self.min_views is not None):
            raise ValueError("min_views goes with on_missing: degraded, and only with it")
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The section, or the path of its bundle alone."""
        section = handler.resolve_ref_schema(handler(schema))
        return {"anyOf": [{"type": "string", "format": "path"}, section]}


Products = Annotated[dict[ProductName, ProductConfig], Field(min_length=1, max_length=256)]
