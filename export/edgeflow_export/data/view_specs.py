"""The views of a recipe's parts, each with the geometry that recipe and data set give it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from edgeflow.contracts.datasets.recorded_part import Crop, RecordedPart
from edgeflow.contracts.documents.problems import first_problem
from edgeflow.contracts.images import image_size
from edgeflow.contracts.manifest import ViewSpec
from edgeflow.errors import DataError
from edgeflow_export.data.published_mirroring import published_mirroring
from edgeflow_export.recipe import DataSpec, GeometrySpec, ImageSpec

__all__ = ["view_specs"]


def view_specs(parts: Sequence[RecordedPart], data: DataSpec, image: ImageSpec) -> tuple[ViewSpec, ...]:
    """The recipe's views, or those that every part has, each with its geometry.

    Args:
        data, image: the recipe's sections.

    Raises:
        DataError: a geometry or mirroring of views that the parts do not have, a crop outside the image, or
            parts whose views lie in different places of their pictures.
    """
    ids = data.views or tuple(view for view in parts[0].images if all(view in part.images for part in parts))
    unknown = sorted(set(image.geometry) - set(ids))
    if unknown:
        raise DataError(
            f"image.geometry names views that the parts do not have: {', '.join(unknown)}; "
            f"they have {', '.join(ids)}"
        )
    mirrored = _mirrored(ids, data.class_name or parts[0].class_name, data)
    places = _places(parts, data)
    views = []
    for view in ids:
        own = image.geometry.get(view, GeometrySpec())
        size = image_size(parts[0].images[view])[::-1] if own.needs_camera_size else None
        if view in mirrored:
            own = own.model_copy(update={"mirror": True})
        if view in places:
            own = _within(own, places[view], view)
        try:
            views.append(own.view(view, (image.width, image.height), image.fit, size))
        except ValidationError as cause:
            raise DataError(f"image.geometry.{view}: {first_problem(cause)}") from cause
    return tuple(views)


def _within(own: GeometrySpec, place: Crop, view: str) -> GeometrySpec:
    """The geometry of a view that lies in a larger picture with others, for the whole picture."""
    if own.rectify is not None:
        raise DataError(
            f"image.geometry.{view}: rectify is for a camera's own image, and here several views share one"
        )
    x, y, width, height = (0, 0, *place[2:]) if own.crop is None else own.crop
    if x + width > place[2] or y + height > place[3]:
        raise DataError(
            f"image.geometry.{view}: crop {[x, y, width, height]} reaches outside the view of "
            f"{place[2]}x{place[3]} in its picture"
        )
    return own.model_copy(update={"crop": (place[0] + x, place[1] + y, width, height)})


def _places(parts: Sequence[RecordedPart], spec: DataSpec) -> Mapping[str, Crop]:
    """View → its place in pictures that hold several; nothing where each view has its own file."""
    places = Counter(tuple(sorted(part.crops.items())) for part in parts)
    usual = dict(places.most_common(1)[0][0])
    other = [f"part {part.part_id}: {dict(part.crops)}" for part in parts if part.crops != usual]
    if other:
        raise DataError(
            f"{spec.root}: {len(other)} part(s) have their views in other places than the others; bring all "
            "pictures to one size, or take these out",
            problems=other,
        )
    return usual


def _mirrored(ids: Sequence[str], class_name: str | None, spec: DataSpec) -> tuple[str, ...]:
    if spec.mirror == "published":
        if class_name is None:
            raise DataError(
                f"{spec.root}: data.mirror: published needs the Real-IAD class; name it in data.class_name"
            )
        known = {f"C{camera}" for camera in range(1, 6)}
        if not known.issuperset(ids):
            raise DataError(
                f"data.mirror: published is for the cameras C1 to C5, the views are {', '.join(ids)}; list "
                "the mirrored ones instead"
            )
        return published_mirroring(class_name)
    unknown = sorted(set(spec.mirror) - set(ids))
    if unknown:
        raise DataError(
            f"data.mirror names views that the parts do not have: {', '.join(unknown)}; "
            f"they have {', '.join(ids)}"
        )
    return spec.mirror
