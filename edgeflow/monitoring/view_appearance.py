"""Appearance of views compared with the golden images: likeness, shift, brightness, sharpness. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import cv2
import numpy as np
import numpy.typing as npt

from edgeflow.cameras.liveness import difference
from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.scoring import FloatArray

__all__ = [
    "Baseline",
    "Glance",
    "Look",
    "blindness",
    "glance",
    "likenesses",
    "look_at",
    "make_baseline",
    "measured",
    "swapped_views",
]

Grey = npt.NDArray[np.float32]

_SIDE = 128  # detail as fine as the edges of a part, coarse enough for milliseconds
_MARGIN = 12  # how far a view may have moved and still be compared: 9 % of the image
_CERTAIN = 0.3  # share of the golden images' own difference that tells two views apart
_ALIKE = 0.03  # views whose golden images differ less are not told apart
_RECOGNISED = 0.5  # what is less like any golden image shows no part
_LINES = 16  # rows and columns of an image that tell in a moment whether there is anything to see
_GONE = 0.25  # share of the golden images' brightness or contrast below which nothing is left of it
_UNFOCUSED = 0.15  # share of their sharpness
_LEVELS = 10  # grey levels; golden images with less of something do not tell what is too little


@dataclass(frozen=True, kw_only=True)
class Look:
    """One image of one view, measured.

    Attributes:
        likeness: correlation of its details with the most similar golden image, -1 to 1.
        shift: how far it has moved from that one, as a share of the image.
        brightness: mean grey level, 0 to 255.
        sharpness: strength of the finest edges against the contrast.
        clipped: share of pixels that are white or black.
    """

    likeness: float
    shift: float
    brightness: float
    sharpness: float
    clipped: float


@dataclass(frozen=True, kw_only=True)
class Glance:
    """One image, measured on some rows and columns alone: cheap enough for every part.

    Attributes:
        brightness: mean grey level, 0 to 255.
        contrast: standard deviation of the grey levels.
        sharpness: strength of the finest edges against the contrast.
    """

    brightness: float
    contrast: float
    sharpness: float


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """The golden images of all views.

    Attributes:
        details: view → details of each golden image, (128, 128).
        likeness: (V, V), of a view's golden images with other parts' golden images of a view.
        looks, glances: view → measures of its golden images.
        variety: view → grey levels by which the two golden parts differ in it that differ least; 0 with one.
    """

    views: tuple[str, ...]
    details: Mapping[str, tuple[Grey, ...]]
    likeness: FloatArray
    looks: Mapping[str, tuple[Look, ...]]
    glances: Mapping[str, tuple[Glance, ...]]
    variety: Mapping[str, float]


def make_baseline(golden: Sequence[Mapping[str, RgbImage]]) -> Baseline:
    """From model images of golden parts, view → uint8 (H, W, 3), each part with the same views."""
    views = tuple(golden[0])
    details = {view: tuple(_details(part[view]) for part in golden) for view in views}
    return Baseline(
        views=views,
        details=details,
        likeness=_golden_likeness(views, details),
        looks={view: tuple(measured(part[view], 1.0, 0.0) for part in golden) for view in views},
        glances={view: tuple(glance(part[view]) for part in golden) for view in views},
        variety={
            view: min((difference(a[view], b[view]) for a, b in combinations(golden, 2)), default=0.0)
            for view in views
        },
    )


def glance(image: RgbImage) -> Glance:
    """Measure a few rows and columns of a model image, uint8 (H, W, 3)."""
    height, width = image.shape[:2]
    rows = np.ascontiguousarray(image[height // (2 * _LINES) :: max(1, height // _LINES), :, 1])
    columns = np.ascontiguousarray(image[:, width // (2 * _LINES) :: max(1, width // _LINES), 1])
    mean, deviation = cv2.meanStdDev(rows)
    contrast = float(deviation[0, 0])
    across = cv2.Sobel(rows, cv2.CV_16S, 2, 0, ksize=1)  # second differences: 1, -2, 1
    along = cv2.Sobel(columns, cv2.CV_16S, 0, 2, ksize=1)
    edges = cv2.norm(across, cv2.NORM_L2SQR) / across.size + cv2.norm(along, cv2.NORM_L2SQR) / along.size
    return Glance(
        brightness=float(mean[0, 0]), contrast=contrast, sharpness=float(edges / (contrast**2 + 1.0))
    )


def blindness(seen: Glance, golden: Sequence[Glance]) -> str:
    """Return the reason why a view shows nothing of its golden images; empty where it does.

    What the golden images do not show either, such as light in a dark view, is not asked for.
    """
    least_bright = min(each.brightness for each in golden)
    least_dark = min(255 - each.brightness for each in golden)
    least_contrast = min(each.contrast for each in golden)
    if least_bright >= _LEVELS and seen.brightness < _GONE * least_bright:
        return "is black; check its light, its exposure and whether something covers it"
    if least_dark >= _LEVELS and 255 - seen.brightness < _GONE * least_dark:
        return "is white; check its light, its exposure and its gain"
    if least_contrast < _LEVELS:
        return ""
    if seen.contrast < _GONE * least_contrast:
        return "shows no detail; check whether something covers it"
    if seen.sharpness < _UNFOCUSED * min(each.sharpness for each in golden):
        return "is out of focus; check its focus, its glass and the exposure time"
    return ""


def look_at(image: RgbImage, view: str, baseline: Baseline) -> Look:
    """Measure a model image, uint8 (H, W, 3), of a view."""
    seen = _details(image)
    likeness, shift = max(_compared(seen, golden) for golden in baseline.details[view])
    return measured(image, likeness, shift)


def likenesses(images: Mapping[str, RgbImage], baseline: Baseline) -> FloatArray:
    """(V, V): how much the image of each view is like the golden images of every view.

    Of some views alone where there are images of no others.
    """
    views = [view for view in baseline.views if view in images]
    rows = []
    for view in views:
        seen = _details(images[view])
        rows.append([max(_compared(seen, g)[0] for g in baseline.details[other]) for other in views])
    return np.array(rows, np.float32)


def swapped_views(
    likeness: FloatArray, baseline: Baseline, views: Sequence[str] | None = None
) -> dict[str, str] | None:
    """Views whose image is that of another view: view → the view that it shows; empty where all are right.

    None where this cannot be told: no part is to be seen. Views that look alike are not told apart.

    Args:
        likeness: (V, V) of :func:`likenesses`, of one part or the mean of several.
        views: that these are of, in order; None: all.
    """
    views = baseline.views if views is None else tuple(views)
    places = [baseline.views.index(view) for view in views]
    golden = baseline.likeness[np.ix_(places, places)]
    shown = _best_assignment(likeness)
    if min(likeness[place, other] for place, other in enumerate(shown)) < _RECOGNISED:
        return None
    moved = [place for place, other in enumerate(shown) if place != other]
    gain = sum(float(likeness[p, shown[p]] - likeness[p, p]) for p in moved)
    between = sum(float(golden[p, p] - golden[p, shown[p]]) for p in moved)
    if between < _ALIKE or gain < _CERTAIN * between:
        return {}
    return {views[place]: views[shown[place]] for place in moved}


def _details(image: RgbImage) -> Grey:
    """Edges and texture without brightness and shading, float32 (128, 128)."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), 1.0) - cv2.GaussianBlur(small, (0, 0), 8.0), np.float32)


def _compared(seen: Grey, golden: Grey) -> tuple[float, float]:
    """Likeness where the golden image fits best, and how far from its place that is."""
    core = golden[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    _, highest, _, (x, y) = cv2.minMaxLoc(cv2.matchTemplate(seen, core, cv2.TM_CCOEFF_NORMED))
    return float(highest), max(abs(x - _MARGIN), abs(y - _MARGIN)) / _SIDE


def measured(image: RgbImage, likeness: float = 1.0, shift: float = 0.0) -> Look:
    """Measure an image, uint8 (H, W, 3); likeness and shift are those of a comparison."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return Look(
        likeness=likeness,
        shift=shift,
        brightness=float(grey.mean()),
        sharpness=float(cv2.Laplacian(grey, cv2.CV_32F).var() / (grey.var() + 1.0)),
        clipped=float(((grey >= 250) | (grey <= 5)).mean()),
    )


def _golden_likeness(views: Sequence[str], details: Mapping[str, tuple[Grey, ...]]) -> FloatArray:
    count = len(details[views[0]])
    pairs = [(a, b) for a in range(count) for b in range(count) if a != b or count == 1]
    rows = [
        [np.mean([_compared(details[one][a], details[other][b])[0] for a, b in pairs]) for other in views]
        for one in views
    ]
    return np.array(rows, np.float32)


def _best_assignment(likeness: FloatArray) -> tuple[int, ...]:
    """Return the view that each image shows, each view once, so that the sum of likenesses is largest."""
    count = len(likeness)

    @cache
    def best(place: int, free: int) -> tuple[float, tuple[int, ...]]:
        if place == count:
            return 0.0, ()
        options = []
        for other in range(count):
            if free >> other & 1:
                rest, tail = best(place + 1, free & ~(1 << other))
                options.append((rest + float(likeness[place, other]), (other, *tail)))
        return max(options)

    return best(0, (1 << count) - 1)[1]
