"""Regions on the pictures of a part: read from a form, checked against the pictures, and shown again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeflow.config.box import BoxConfig
from edgeflow.contracts.datasets.part_label import MOST_REGIONS, LabelRegion, PartLabel
from edgeflow.contracts.images import image_size
from edgeflow.errors import DataError
from edgeflow.history.records import PartRecord
from edgeflow.web.language import Translations
from edgeflow.web.pages.pictures import picture_file

__all__ = ["DrawnRegion", "RegionError", "drawn_regions", "picture_sizes", "read_regions"]


def _(text: str) -> str:
    """Mark a text for translation."""
    return text


_FORM = re.compile(
    r"([^\x00-\x1f\x7f]{1,64}):(-?[0-9]{1,18}),(-?[0-9]{1,18}),(-?[0-9]{1,18}),(-?[0-9]{1,18})"
)
_TOO_MANY = _("%(count)s regions are too many: up to %(most)s are kept with a part.")
_NO_NUMBERS = _(
    "Region %(number)s is not understood: left, top, width and height are whole numbers of pixels."
)
_NO_VIEW = _("Region %(number)s: the part has no view %(view)s.")
_NO_PICTURE = _(
    "Region %(number)s: the picture of view %(view)s has been removed. Judge the part without regions."
)
_EMPTY = _("Region %(number)s: width and height are at least one pixel.")
_OUTSIDE = _(
    "Region %(number)s reaches beyond the picture of view %(view)s, which has %(width)s × %(height)s pixels."
)


class RegionError(Exception):
    """Regions that cannot be kept; ``text`` says why in the language of the user."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


@dataclass(frozen=True, kw_only=True)
class DrawnRegion:
    """A region that somebody drew, with the label that it belongs to.

    Attributes:
        latest: the label is the one that counts.
    """

    region: LabelRegion
    label: PartLabel
    latest: bool


def picture_sizes(config: BoxConfig, record: PartRecord) -> dict[str, tuple[int, int]]:
    """Return view → width and height in pixels of the camera's image, of the views whose image is there."""
    sizes = {}
    for view in record.views:
        file = picture_file(config, record, view.view, "original")
        size = None if file is None else _size(file)
        if size is not None:
            sizes[view.view] = size
    return sizes


def read_regions(
    texts: Sequence[str], record: PartRecord, sizes: Mapping[str, tuple[int, int]], words: Translations
) -> tuple[LabelRegion, ...]:
    """Read regions as ``VIEW:X,Y,W,H``, as ``edgeflow evidence label --region`` takes them.

    Args:
        sizes: view → width and height of its picture.
        words: the language of the user.

    Raises:
        RegionError: one is not within the picture of a view of the part, or there are too many.
    """

    def refuse(text: str, **values: object) -> RegionError:
        return RegionError(words.gettext(text) % values)

    if len(texts) > MOST_REGIONS:
        raise refuse(_TOO_MANY, count=len(texts), most=MOST_REGIONS)
    views = {view.view for view in record.views}
    found = []
    for number, text in enumerate(texts, 1):
        match = _FORM.fullmatch(text)
        if match is None:
            raise refuse(_NO_NUMBERS, number=number)
        view, (x, y, width, height) = match[1], map(int, match.groups()[1:])
        if view not in views:
            raise refuse(_NO_VIEW, number=number, view=view)
        if view not in sizes:
            raise refuse(_NO_PICTURE, number=number, view=view)
        if width < 1 or height < 1:
            raise refuse(_EMPTY, number=number)
        most = sizes[view]
        if x < 0 or y < 0 or x + width > most[0] or y + height > most[1]:
            raise refuse(_OUTSIDE, number=number, view=view, width=most[0], height=most[1])
        found.append(LabelRegion(view=view, x=x, y=y, width=width, height=height))
    return tuple(found)


def drawn_regions(labels: Sequence[PartLabel]) -> dict[str, list[DrawnRegion]]:
    """Return view → regions of the last label of each person, those of the label that counts at the end.

    Args:
        labels: of one part, the first one first.
    """
    drawn: dict[str, list[DrawnRegion]] = {}
    last = {label.by: label for label in labels}
    for label in labels:
        if last[label.by] is not label:
            continue
        for region in label.regions:
            one = DrawnRegion(region=region, label=label, latest=label is labels[-1])
            drawn.setdefault(region.view, []).append(one)
    return drawn


def _size(file: Path) -> tuple[int, int] | None:
    try:
        height, width = image_size(file)
    except DataError:  # removed meanwhile, or damaged
        return None
    return width, height
