"""A contact sheet of an evaluation's worst mistakes: defective parts passed, normal parts rejected."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.manifest import Scale, Thresholds
from edgeflow.contracts.scoring import scaled
from edgeflow.scoring.heatmap import heat_overlay
from edgeflow_export.data.dataset import load_images, load_masks
from edgeflow_export.evaluation.evaluate import Evaluation
from edgeflow_export.evaluation.sheet_layout import Cell, Legend, Panel, Tile, draw_sheet, tile_width

__all__ = ["MOST", "Chosen", "choose_mistakes", "mistakes_sheet"]

MOST = 6  # of each kind
LEGEND = Legend(
    one="threshold",
    notes=(
        "colour: score of a pixel on its view's scale (0: median normal part)",
        "white outline: marked as defective",
        "in each view: its name and score",
    ),
)
_OUTLINE = (255, 255, 255)
_EDGE = (0, 0, 0)
_CLEARANCE = 11
_FINER = 4  # masks are read at this multiple of a tile's size, so that small defects stay


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The parts of one panel, as indices of the test parts, the worst first."""

    heading: str
    parts: tuple[int, ...]


def choose_mistakes(evaluation: Evaluation) -> tuple[Chosen, Chosen]:
    """False accepts and false rejects; of a kind that has none, the parts nearest to the threshold."""
    order = np.argsort(evaluation.scored.parts, kind="stable")
    bad = evaluation.truth.defective_parts
    accepts = tuple(int(index) for index in order if bad[index])
    rejects = tuple(int(index) for index in order[::-1] if not bad[index])
    report = evaluation.report
    return (
        _chosen(accepts, len(report.false_accepts or ()), "false accept", "defective, passed"),
        _chosen(rejects, len(report.false_rejects or ()), "false reject", "normal, rejected"),
    )


def mistakes_sheet(evaluation: Evaluation) -> Image.Image | None:
    """Heat maps of the worst mistakes, every view of each part.

    Returns:
        The picture, or None where there is no threshold.

    Raises:
        DataError: an image or a mask has become unreadable.
    """
    thresholds = evaluation.report.thresholds
    if thresholds is None:
        return None
    size = evaluation.dataset.preprocessing
    width = tile_width(len(evaluation.dataset.views))
    tile = (round(width * size.height / size.width), width)
    panels = tuple(
        Panel(
            heading=chosen.heading,
            cells=tuple(_cell(index, evaluation, thresholds, tile) for index in chosen.parts),
        )
        for chosen in choose_mistakes(evaluation)
    )
    return draw_sheet(_title(evaluation), panels, tile, LEGEND)


def _chosen(ordered: tuple[int, ...], mistakes: int, what: str, meaning: str) -> Chosen:
    """The first of the parts that are ordered from the worst on; ``mistakes`` of them are mistakes."""
    heading = f"{mistakes or 'no'} {what}{'' if mistakes == 1 else 's'} ({meaning})"
    if not mistakes:
        heading += "; nearest to the threshold:"
    elif mistakes > MOST:
        heading += f", the worst {MOST}"
    return Chosen(heading=heading, parts=ordered[: min(mistakes, MOST) or MOST])


def _title(evaluation: Evaluation) -> str:
    report = evaluation.report
    normal = report.parts - report.defective_parts
    name = report.model.class_name or report.model.name
    return f"{name}, {report.model.graph}: {report.defective_parts} defective and {normal} normal test parts"


def _cell(index: int, evaluation: Evaluation, thresholds: Thresholds, tile: tuple[int, int]) -> Cell:
    """The views of one part as they are shown; ``tile`` is (height, width)."""
    truth, scored, dataset = evaluation.truth, evaluation.scored, evaluation.dataset
    images = load_images(dataset.test[index], dataset)
    masks = load_masks(dataset.test[index], dataset, (tile[0] * _FINER, tile[1] * _FINER))
    tiles = []
    for v, view in enumerate(dataset.view_ids):
        scale = thresholds.views[view]
        picture = _tile(images[v], scored.maps[index, v], masks[v], scale, tile)
        tiles.append(Tile(picture=picture, caption=f"{view}  {scaled(scored.views[index, v], scale):.2f}"))
    score = scaled(float(scored.parts[index]), thresholds.part)
    return Cell(
        label=truth.labels[index],
        part_id=truth.part_ids[index],
        score=f"score {score:.2f}",
        tiles=tuple(tiles),
    )


def _tile(
    image: RgbImage,
    anomaly_map: npt.NDArray[np.float32],
    mask: npt.NDArray[np.bool_],
    scale: Scale,
    tile: tuple[int, int],
) -> RgbImage:
    """One view (height, width, 3) with its heat and the outline of what is really defective."""
    overlay = Image.fromarray(heat_overlay(image, anomaly_map, scale))
    picture = np.array(overlay.resize((tile[1], tile[0]), Image.Resampling.LANCZOS))
    if mask.any():
        small = cv2.resize(mask.astype(np.float32), (tile[1], tile[0]), interpolation=cv2.INTER_AREA)
        # The line runs around the defect, not over it.
        around = cv2.dilate((small > 0).astype(np.uint8), np.ones((_CLEARANCE, _CLEARANCE), np.uint8))
        outlines, _ = cv2.findContours(around, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, outlines, -1, _EDGE, thickness=3)
        cv2.drawContours(picture, outlines, -1, _OUTLINE, thickness=1)
    return picture
