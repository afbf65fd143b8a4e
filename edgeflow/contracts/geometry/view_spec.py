"""The geometry of one view and of all, as recipe and manifest describe it."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from edgeflow.contracts.documents.document import Document, Text
from edgeflow.contracts.geometry.rectification import Rectification
from edgeflow.contracts.geometry.tiles import TileGrid, Tiles
from edgeflow.contracts.images import MAX_PIXELS
from edgeflow.contracts.thresholds import Count, Positive

__all__ = [
    "VIEW_NAME",
    "Crop",
    "Fit",
    "Preprocessing",
    "Turns",
    "ViewId",
    "ViewSpec",
    "require_possible_size",
]

VIEW_NAME = Text(
    pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$",
    words="a name of up to 64 letters, digits, . _ or -, beginning with a letter or digit",
)
"""Names allowed for a view: each is also the name of a file and a level of a topic."""
ViewId = Annotated[str, VIEW_NAME]
Crop: TypeAlias = tuple[Count, Count, Positive, Positive]
"""x, y, width, height."""
Turns: TypeAlias = Literal[0, 1, 2, 3]
Fit: TypeAlias = Literal["stretch", "letterbox"]


def require_possible_size(height: int, width: int) -> None:
    """Refuse a model image larger than any camera's image.

    Raises:
        ValueError: it is.
    """
    if height * width > MAX_PIXELS:
        raise ValueError(
            f"a model image of {width}x{height} has more pixels than the {MAX_PIXELS} that a camera's image "
            "may have; take a smaller height and width"
        )


class ViewSpec(Document):
    """One view: its name and the geometry from camera image to model image.

    In this order: rectified, cropped, turned, mirrored, padded. What a view does without is not written, so
    that bundles without it are as they were.
    """

    id: ViewId
    mirror: bool = Field(default=False, description="flip left-right, after the crop and the turns")
    crop: Crop | None = Field(
        default=None,
        description="x, y, width, height in pixels of the camera's image, or of the rectified one",
    )
    turns: Turns = Field(
        default=0, exclude_if=lambda turns: turns == 0, description="quarter turns clockwise, after the crop"
    )
    rectify: Rectification | None = Field(
        default=None,
        exclude_if=lambda given: given is None,
        description="before the crop: the plane from the front",
    )
    letterbox: tuple[Positive, Positive] | None = Field(
        default=None,
        exclude_if=lambda given: given is None,
        description="last: padded with the mean colour to this width to height; None: stretched",
    )
    camera_size: tuple[Positive, Positive] | None = Field(
        default=None,
        exclude_if=lambda given: given is None,
        description="width and height of the images that crop and rectify were made for; others are refused",
    )

    @model_validator(mode="after")
    def _crop_lies_within(self) -> ViewSpec:
        plane = self.rectify
        size = (plane.width, plane.height) if plane is not None else self.camera_size
        if self.crop is None or size is None:
            return self
        x, y, width, height = self.crop
        if x + width > size[0] or y + height > size[1]:
            name = "rectified image" if plane is not None else "camera's image"
            raise ValueError(
                f"view '{self.id}': crop {list(self.crop)} reaches outside the {name} of {size[0]}x{size[1]}"
            )
        return self

    @property
    def described(self) -> str:
        """The geometry in a few words; empty where there is none."""
        steps = []
        if self.rectify is not None:
            steps.append(f"rectified to {self.rectify.width}x{self.rectify.height}")
        if self.crop is not None:
            x, y, width, height = self.crop
            steps.append(f"cropped to {width}x{height} at {x},{y}")
        if self.turns:
            steps.append(f"turned {90 * self.turns}°")
        if self.mirror:
            steps.append("mirrored")
        if self.letterbox is not None:
            steps.append("letterboxed")
        return ", ".join(steps)


class Preprocessing(Document):
    """From a camera's RGB image to the graph's uint8 input; the graph holds the normalisation."""

    height: Positive
    width: Positive
    resize: Literal["bilinear-antialias"] = "bilinear-antialias"
    colour: Literal["rgb"] = "rgb"
    bits: int | None = Field(
        default=None,
        ge=8,
        le=16,
        description="significant bits of image files with more than 8; None, in bundles made before 1.4: 16",
    )
    orientation: Literal["followed"] | None = Field(
        default=None,
        description="images are turned as their files say; None, in bundles made before 1.4: only TIFF was, "
        "so that other files which are to be turned are refused",
    )
    tiles: Tiles | None = Field(
        default=None,
        exclude_if=lambda tiles: tiles is None,
        description="of the model image, cut by the graph; None, also in bundles made before 1.6: whole",
    )

    @property
    def grid(self) -> TileGrid | None:
        """The tiles of the model image; None where the network sees it whole."""
        return None if self.tiles is None else TileGrid.of(self.tiles, self.height, self.width)

    @model_validator(mode="after")
    def _image_is_one_that_can_be(self) -> Preprocessing:
        require_possible_size(self.height, self.width)
        return self

    @model_validator(mode="after")
    def _tiles_cover_the_image(self) -> Preprocessing:
        _ = self.grid  # says itself what does not fit
        return self
