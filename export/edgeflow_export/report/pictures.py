"""Pictures of an export's report: views with their foreground, their maps, and what INT8 changes in these."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.manifest import Scale, Thresholds
from edgeflow.contracts.scoring import FloatArray, Masks, masked, scaled, smoothed, standardise
from edgeflow.scoring.heatmap import heat_overlay
from edgeflow_export.data.dataset import load_images
from edgeflow_export.quantization.accuracy_guard import Scored
from edgeflow_export.quantization.trial import GraphTrial

__all__ = ["DIFFERENCE_RANGE", "PartPictures", "Row", "data_uri", "legends", "part_pictures"]

DIFFERENCE_RANGE = 0.25
"""End of the colour scale of differences, in units of the threshold."""
LARGEST_TILE, SMALLEST_TILE, SHEET = 280, 120, 1200
_QUALITY = 84
_HIGHER, _LOWER = np.array([200, 60, 30], np.float32), np.array([30, 90, 190], np.float32)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One kind of picture, every view of a part: data URIs, and a few words below each."""

    heading: str
    pictures: tuple[str, ...]
    captions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PartPictures:
    """One part with all its pictures.

    Attributes:
        why: it is shown.
        defective: as it is labelled; None where it is not.
        scores: name of a graph → scaled part score.
    """

    part_id: str
    label: str
    defective: bool | None
    why: str
    scores: dict[str, float]
    views: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def size(self) -> int:
        """Characters of all pictures."""
        return sum(len(picture) for row in self.rows for picture in row.pictures)


def part_pictures(
    index: int,
    why: str,
    trial: GraphTrial,
    scored: dict[str, Scored],
    thresholds: Mapping[str, Thresholds],
    *,
    unlabelled: str,
) -> PartPictures:
    """Draw one of the trial's parts.

    Args:
        scored: by the fp32 graph first, then by the reduced graph to compare, if any.
        thresholds: graph → its own.
        unlabelled: what to say of a part without a label.

    Raises:
        DataError: an image has become unreadable.
    """
    part, views = trial.parts[index], trial.data.view_ids
    images = load_images(part, trial.data)
    width = int(np.clip(SHEET // len(views), SMALLEST_TILE, LARGEST_TILE))
    tile = (round(width * images.shape[1] / images.shape[2]), width)
    scales = {name: [thresholds[name].views[view] for view in views] for name in scored}
    seen = {name: _shown(index, trial, by) for name, by in scored.items()}
    (first, reference), *others = scored.items()
    rows = [_image_row(images, None if reference.masks is None else reference.masks[index], tile)]
    for name, by in scored.items():
        rows.append(_map_row(name, images, seen[name], by.views[index], scales[name], tile))
    relative = {name: _relative(maps, scales[name]) for name, maps in seen.items()}
    rows += [_difference_row(name, first, relative[name] - relative[first], tile) for name, _ in others]
    return PartPictures(
        part_id=part.part_id,
        label=unlabelled if part.label is None else part.label,
        defective=part.defective,
        why=why,
        scores={name: scaled(float(by.parts[index]), thresholds[name].part) for name, by in scored.items()},
        views=views,
        rows=tuple(rows),
    )


def legends() -> tuple[str, str]:
    """The colours of maps, from 0 to 2, and of differences, as data URIs."""
    height, width = 14, 240
    ramp = np.linspace(0, 2, width, dtype=np.float32)[np.newaxis].repeat(height, 0)
    grey = np.full((height, width, 3), 176, np.uint8)
    heat = heat_overlay(grey, ramp, Scale(centre=0.0, threshold=1.0))
    return data_uri(_jpeg(heat), "jpeg"), data_uri(_jpeg(_diverging(ramp - 1)), "jpeg")


def data_uri(content: bytes, kind: str) -> str:
    """A picture as a part of a page."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _shown(index: int, trial: GraphTrial, scored: Scored) -> FloatArray:
    """The maps (V, h, w) that the part's scores come from."""
    masks = None if scored.masks is None else scored.masks[index]
    return smoothed(masked(standardise(scored.maps[index], trial.statistics), masks), trial.scoring)


def _image_row(images: RgbImage, masks: Masks | None, tile: tuple[int, int]) -> Row:
    pictures = [
        data_uri(_jpeg(_with_mask(image, None if masks is None else masks[v], tile)), "jpeg")
        for v, image in enumerate(images)
    ]
    captions = ["" if masks is None else f"{masks[v].mean():.0%} foreground" for v in range(len(images))]
    heading = "image" if masks is None else "image, foreground outlined"
    return Row(heading=heading, pictures=tuple(pictures), captions=tuple(captions))


def _with_mask(image: RgbImage, mask: Masks | None, tile: tuple[int, int]) -> RgbImage:
    picture = np.array(Image.fromarray(image).resize((tile[1], tile[0]), Image.Resampling.LANCZOS))
    if mask is None:
        return picture
    large = cv2.resize(mask, (tile[1], tile[0]), interpolation=cv2.INTER_NEAREST)
    picture[large == 0] = picture[large == 0] // 2 + 64
    outlines, _ = cv2.findContours(large, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, outlines, -1, (0, 220, 110), thickness=2)
    return picture


def _map_row(
    name: str,
    images: RgbImage,
    maps: FloatArray,
    views: FloatArray,
    scales: list[Scale],
    tile: tuple[int, int],
) -> Row:
    pictures, captions = [], []
    for image, heat, raw, scale in zip(images, maps, views, scales, strict=True):
        small = np.asarray(Image.fromarray(image).resize((tile[1], tile[0]), Image.Resampling.LANCZOS))
        pictures.append(data_uri(_jpeg(heat_overlay(small, heat, scale)), "jpeg"))
        captions.append(f"view score {scaled(float(raw), scale):.3f}")
    return Row(heading=f"map, {name}", pictures=tuple(pictures), captions=tuple(captions))


def _relative(maps: FloatArray, scales: list[Scale]) -> FloatArray:
    """Maps (V, h, w) on the scale where each view's threshold is 1."""
    each = [
        (heat - scale.centre) / (scale.threshold - scale.centre)
        for heat, scale in zip(maps, scales, strict=True)
    ]
    return np.asarray(np.stack(each), np.float32)


def _difference_row(name: str, first: str, difference: FloatArray, tile: tuple[int, int]) -> Row:
    pictures, captions = [], []
    for change in difference:
        large = cv2.resize(change, (tile[1], tile[0]), interpolation=cv2.INTER_NEAREST)
        pictures.append(data_uri(_jpeg(_diverging(large / DIFFERENCE_RANGE)), "jpeg"))
        captions.append(f"at most {float(np.abs(change).max()):.3f}")
    return Row(heading=f"{name} less {first}", pictures=tuple(pictures), captions=tuple(captions))


def _diverging(values: FloatArray) -> RgbImage:
    """White at 0, red towards 1, blue towards -1; what is not a number is black."""
    share = np.minimum(np.abs(np.nan_to_num(values, nan=0.0)), 1.0)[..., np.newaxis]
    end = np.where((values > 0)[..., np.newaxis], _HIGHER, _LOWER)
    picture = np.rint(255 * (1 - share) + end * share)
    picture[np.isnan(values)] = 0
    return np.asarray(picture, np.uint8)


def _jpeg(picture: RgbImage) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    return buffer.getvalue()
