"""Whether cameras are watched: the right one for every view, alive, sharp, well exposed, where it was."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edgeflow.contracts.documents.document import Document

__all__ = ["ViewsConfig"]


class ViewsConfig(Document):
    """What the bundle's golden images are compared with; the box says ``camera_view.…`` where one is off."""

    at_start: Literal["refuse", "alarm", "off"] = Field(
        default="refuse", description="what cameras that seem swapped do before the line is ready"
    )
    unusable: Literal["undecided", "alarm", "off"] = Field(
        default="undecided",
        description="what a view that is frozen, black, white, covered or out of focus does to its part",
    )
    frozen_after: int = Field(
        default=3,
        ge=2,
        description="parts in a row with one and the same picture that make a view frozen, of a camera that "
        "compresses its pictures; raw ones are never the same twice",
    )
    watch: bool = Field(default=True, description="look at parts now and then, beside the line")
    max_shift: Annotated[float, Field(gt=0, le=0.09)] = Field(
        default=0.05, description="share of the image by which a view may have moved"
    )
    brightness: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.25, description="share by which a view may be brighter or darker"
    )
    least_sharpness: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.35, description="share of the golden images' sharpness that must be left"
    )
