"""The recipe's geometry of single views, from camera image to model image."""

from __future__ import annotations

from pydantic import Field

from edgeflow.contracts.documents.document import Document
from edgeflow.contracts.geometry.rectification import Rectification
from edgeflow.contracts.geometry.view_spec import Crop, Fit, Turns, ViewSpec
from edgeflow_export.recipe.units import Positive

__all__ = ["GeometrySpec"]


class GeometrySpec(Document):
    """One view, in this order: rectified, cropped, turned, mirrored, fitted to the model's image."""

    rectify: Rectification | None = Field(
        default=None, description="a plane seen straight from the front; see edgeflow cameras calibrate"
    )
    crop: Crop | None = Field(
        default=None,
        description="x, y, width, height in pixels of the camera's image, or of the rectified one",
    )
    turns: Turns = Field(default=0, description="quarter turns clockwise, after the crop")
    mirror: bool = Field(default=False, description="flip left to right, after the turns")
    fit: Fit | None = Field(default=None, description="of this view; default: image.fit")
    camera_size: tuple[Positive, Positive] | None = Field(
        default=None,
        description="width and height of the images that crop and rectify are for; others are refused. "
        "Default: of the first part's image",
    )

    @property
    def needs_camera_size(self) -> bool:
        """True if the geometry holds for camera images of one size alone."""
        return self.crop is not None or self.rectify is not None

    def view(
        self, name: str, model_size: tuple[int, int], fit: Fit, camera_size: tuple[int, int] | None
    ) -> ViewSpec:
        """The view as data sets and bundles know it.

        Args:
            model_size: width and height of the model's image.
            fit: where the view has none of its own.
            camera_size: width and height of the images, where the geometry needs it and says none.
        """
        return ViewSpec(
            id=name,
            mirror=self.mirror,
            crop=self.crop,
            turns=self.turns,
            rectify=self.rectify,
            letterbox=model_size if (self.fit or fit) == "letterbox" else None,
            camera_size=self.camera_size or camera_size,
        )
