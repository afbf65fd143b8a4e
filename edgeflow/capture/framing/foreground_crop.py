"""Crops round the part of each view for which there is a bundle: in its geometry, by its foreground."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeflow.bundles.bundle import Bundle
from edgeflow.capture.framing.crop_proposal import (
    MARGIN,
    CropProposal,
    border_colour,
    proposal_of,
    propose_crop,
)
from edgeflow.contracts.geometry.view_geometry import ViewGeometry
from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.manifest import ViewSpec
from edgeflow.contracts.scoring import Masks
from edgeflow.scoring.loading import open_scorer

__all__ = ["FramedView", "bundle_proposals", "plain_proposals"]


@dataclass(frozen=True, kw_only=True)
class FramedView:
    """The geometry of one view with the crop that is proposed for it.

    Attributes:
        found: crop in pixels of the rectified image where ``kept`` rectifies, else of the camera's.
        camera_size: width and height of the image.
        kept: the bundle's geometry of this view, all of which stays but its crop; None without one.
    """

    found: CropProposal
    camera_size: tuple[int, int]
    kept: ViewSpec | None = None

    @property
    def geometry(self) -> dict[str, object]:
        """The view's entry in the recipe's ``image.geometry``, as its document has it."""
        kept, crop = self.kept, self.found.crop
        rectify = kept.rectify if kept is not None else None
        values: dict[str, object] = {}
        if rectify is not None:
            values["rectify"] = rectify.model_dump(mode="json")
        if crop is not None:
            values["crop"] = list(crop)
        if kept is not None and kept.turns:
            values["turns"] = kept.turns
        if kept is not None and kept.mirror:
            values["mirror"] = True
        if kept is not None and kept.letterbox is not None:
            values["fit"] = "letterbox"
        if crop is not None or rectify is not None:
            values["camera_size"] = list(self.camera_size)
        return values


def plain_proposals(images: Mapping[str, RgbImage]) -> dict[str, FramedView]:
    """Propose crops by what differs from the border of each image, view → uint8 (H, W, 3)."""
    return {
        view: FramedView(found=propose_crop(image), camera_size=_size(image))
        for view, image in images.items()
    }


def bundle_proposals(
    bundle: Bundle, images: Mapping[str, RgbImage], *, backend: str | None = None
) -> dict[str, FramedView]:
    """Propose crops in the geometry of a bundle: by its foreground, else by what differs from the border.

    A rectified view is looked at, and cropped, in its rectified image. Where the bundle crops a view itself,
    the foreground knows nothing of what lies outside of that crop.

    Args:
        images: view → uint8 (H, W, 3), as the cameras give them. Views that the bundle lacks have no
            geometry, and are looked at from the border.

    Raises:
        DataError: images of another size than the bundle's geometry was made for.
        DeviceError: a graph does not run here.
    """
    manifest = bundle.manifest
    known = {view.id: index for index, view in enumerate(manifest.views)}
    for name in known.keys() & images.keys():
        ViewGeometry(manifest.views[known[name]], images[name].shape[:2])  # refuses another size
    masks = None if manifest.foreground is None else _masks(bundle, images, backend)
    source = f"the foreground of bundle {manifest.name}"
    framed = {}
    for name, image in images.items():
        view = manifest.views[known[name]] if name in known else None
        if view is None:
            found = propose_crop(image)
        elif masks is not None:
            found = _of_mask(masks[known[name]], view, image, source)
        else:
            found = _of_border(view, image)
        framed[name] = FramedView(found=found, camera_size=_size(image), kept=view)
    return framed


def _masks(bundle: Bundle, images: Mapping[str, RgbImage], backend: str | None) -> Masks | None:
    scorer = open_scorer(bundle, backend=backend)
    try:
        return scorer.score(images, ask="all").masks
    finally:
        scorer.close()


def _of_border(view: ViewSpec, image: RgbImage) -> CropProposal:
    """The crop of what differs from the border; of a rectified view on its rectified image."""
    if view.rectify is None:
        return propose_crop(image)
    # What no camera saw is taken for background.
    beyond = tuple(round(value) for value in border_colour(np.asarray(image, np.float32)).tolist())
    return propose_crop(view.rectify.image(image, beyond))


def _of_mask(mask: Masks, view: ViewSpec, image: RgbImage, source: str) -> CropProposal:
    """The crop round a mask (h, w) at map size, on the rectified image, or else the camera's."""
    seen = mask > 0
    if not seen.any():
        return CropProposal(
            crop=None, reason="no foreground is found; put a part before the camera", source=source
        )
    plane = view.rectify
    size = (image.shape[0], image.shape[1]) if plane is None else (plane.height, plane.width)
    flat = view.model_copy(update={"rectify": None, "camera_size": None})
    box = ViewGeometry(flat, size).box_on_camera(_box(seen), (mask.shape[0], mask.shape[1]))
    if box is None:
        return CropProposal(crop=None, reason="the foreground lies outside of the image", source=source)
    x, y, width, height = box
    return proposal_of((x, y, x + width, y + height), MARGIN, size, source)


def _box(seen: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    left, top = int(columns[0]), int(rows[0])
    return left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top


def _size(image: RgbImage) -> tuple[int, int]:
    return image.shape[1], image.shape[0]
