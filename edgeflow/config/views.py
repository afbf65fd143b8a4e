"""Section of a box file: comparison of the cameras' images with the bundle's golden images."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edgeflow.contracts.documents.document import Document

__all__ = ["ViewsConfig"]


class ViewsConfig(Document):
    """Comparison of views with the bundle's golden images; a difference raises ``camera_view.…``."""

    at_start: Literal["refuse", "alarm", "off"] = Field(
        default="refuse",
        description="when cameras seem swapped at the start: do not start (refuse), raise an alarm, or do "
        "nothing",
    )
    unusable: Literal["undecided", "alarm", "off"] = Field(
        default="undecided",
        description="when a view is frozen, black, white, covered or out of focus: its part is UNDECIDED "
        "(undecided), or only an alarm is raised (alarm), or nothing happens (off)",
    )
    frozen_after: int = Field(
        default=3,
        ge=2,
        description="number of identical images in a row after which a view counts as frozen; for cameras "
        "that compress images, since raw images are never identical",
    )
    watch: bool = Field(
        default=True, description="compare parts with the golden images from time to time while the line runs"
    )
    max_shift: Annotated[float, Field(gt=0, le=0.09)] = Field(
        default=0.05, description="share of the image's side by which a view may have moved"
    )
    brightness: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.25, description="share by which a view may be brighter or darker than the golden images"
    )
    least_sharpness: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.35, description="smallest sharpness of a view, as a share of the golden images'"
    )
