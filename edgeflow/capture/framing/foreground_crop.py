"""Crops round the part of each view by the foreground masks of a bundle that knows the product already."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgeflow.bundles.bundle import Bundle
from edgeflow.capture.framing.crop_proposal import MARGIN, CropProposal, proposal_of, propose_crop
from edgeflow.contracts.geometry.view_geometry import ViewGeometry
from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.manifest import ViewSpec
from edgeflow.contracts.scoring import Masks
from edgeflow.errors import ConfigError
from edgeflow.scoring.loading import open_scorer

__all__ = ["foreground_proposals"]


def foreground_proposals(
    bundle: Bundle, images: Mapping[str, RgbImage], *, backend: str | None = None, margin: float = MARGIN
) -> dict[str, CropProposal]:
    """Propose crops round what the bundle's foreground takes for the part, view → crop.

    A view that the bundle lacks or rectifies gets the proposal from its image's border. Where the bundle
    crops a view itself, the mask knows nothing of what lies outside of that crop.

    Args:
        images: view → uint8 (H, W, 3), as the cameras give them.

    Raises:
        ConfigError: the bundle has no foreground.
        DataError: images of another size than the bundle's crops were made for.
        DeviceError: a graph does not run here.
    """
    manifest = bundle.manifest
    if manifest.foreground is None:
        raise ConfigError(f"{bundle.path}: has no foreground")
    scorer = open_scorer(bundle, backend=backend)
    try:
        masks = scorer.score(images, ask="all").masks
    finally:
        scorer.close()
    source = f"the foreground of bundle {manifest.name}"
    views = {view.id: (view, index) for index, view in enumerate(manifest.views)}
    found = {}
    for name, image in images.items():
        view, index = views.get(name, (None, 0))
        if view is None or view.rectify is not None or masks is None:
            found[name] = propose_crop(image, margin=margin)
        else:
            found[name] = _of_mask(masks[index], view, image, margin, source)
    return found


def _of_mask(mask: Masks, view: ViewSpec, image: RgbImage, margin: float, source: str) -> CropProposal:
    """The crop round a mask (h, w) at map size, on the camera's image."""
    seen = mask > 0
    size = image.shape[0], image.shape[1]
    if not seen.any():
        return CropProposal(
            crop=None, reason="no foreground is found; put a part before the camera", source=source
        )
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    left, top = int(columns[0]), int(rows[0])
    box = left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top
    on_camera = ViewGeometry(view, size).box_on_camera(box, (mask.shape[0], mask.shape[1]))
    if on_camera is None:
        return CropProposal(crop=None, reason="the foreground lies outside of the image", source=source)
    x, y, width, height = on_camera
    return proposal_of((x, y, x + width, y + height), margin, size, source)
