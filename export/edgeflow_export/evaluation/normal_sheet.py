"""A sheet of the distance to the nearest normal features, which the flow's inverse pass gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from edgeflow.contracts.manifest import Scale
from edgeflow.contracts.scoring import FloatArray
from edgeflow.scoring.heatmap import heat_overlay
from edgeflow_export.data.dataset import Images, load_images
from edgeflow_export.evaluation.evaluate import Evaluation
from edgeflow_export.evaluation.sheet_layout import Cell, Legend, Panel, Tile, draw_sheet, tile_width
from edgeflow_export.models.inspection_model import InspectionModel
from edgeflow_export.models.multiflow import MultiFlow

__all__ = ["NormalAppearance", "appearance_sheet", "normal_appearance"]

SHOWN = 4  # of each kind
LIMIT = 2.0  # deviations from its mean that a normal latent may have
LEGEND = Legend(
    one="99.5 % of normal pixels",
    notes=(
        "colour: distance of a pixel's features to the nearest that the flow holds to be normal",
        "0: median of the normal parts shown",
    ),
)
_HIGH = 0.995  # share of normal parts' pixels that the colour scale calls normal


def appearance_sheet(evaluation: Evaluation) -> Image.Image | None:
    """The highest-scoring defective and normal parts, with the change that the flow would want of them.

    The change is the distance between a part's features and the nearest that the flow holds to be normal
    (``normal_appearance``), on a scale on which normal parts' own pixels end at the middle. None for a
    bundle or a patch memory, which hold no flow to ask.

    Raises:
        DataError: an image has become unreadable.
    """
    model = evaluation.model
    if model is None or model.module.flow is None:
        return None
    order = np.argsort(-evaluation.scored.parts, kind="stable")
    bad = evaluation.truth.defective_parts
    groups = {
        "defective": [int(index) for index in order if bad[index]][:SHOWN],
        "normal": [int(index) for index in order if not bad[index]][:SHOWN],
    }
    seen = {
        index: _changes(index, evaluation, model.module, model.module.flow)
        for group in groups.values()
        for index in group
    }
    normal = np.stack([seen[index][1] for index in groups["normal"]])
    centre = float(np.median(normal))
    scale = Scale(centre=centre, threshold=max(float(np.quantile(normal, _HIGH)), centre + 1e-6))
    size = evaluation.dataset.preprocessing
    width = tile_width(len(evaluation.dataset.views))
    tile = (round(width * size.height / size.width), width)
    panels = tuple(
        Panel(
            heading=f"what would have to change, {kind} parts with the highest scores",
            cells=tuple(_cell(index, evaluation, *seen[index], scale, tile) for index in group),
        )
        for kind, group in groups.items()
    )
    name = evaluation.report.model.class_name or evaluation.report.model.name
    return draw_sheet(f"{name}: distance to what the flow holds to be normal", panels, tile, LEGEND)


def _changes(
    index: int, evaluation: Evaluation, module: InspectionModel, flow: MultiFlow
) -> tuple[Images, FloatArray]:
    """A part's model images, and per view and pixel what would have to change (V, h, w)."""
    images = load_images(evaluation.dataset.test[index], evaluation.dataset)
    device = module.image_mean.device
    with torch.inference_mode():
        features = module.features(torch.from_numpy(images).to(device)).unsqueeze(0)
    difference = normal_appearance(flow, features, limit=LIMIT).difference[0]
    return images, np.asarray(difference.cpu().numpy(), np.float32)


def _cell(
    index: int,
    evaluation: Evaluation,
    images: Images,
    difference: FloatArray,
    scale: Scale,
    tile: tuple[int, int],
) -> Cell:
    tiles = []
    for v, view in enumerate(evaluation.dataset.view_ids):
        overlay = Image.fromarray(heat_overlay(images[v], difference[v], scale))
        picture = np.asarray(overlay.resize((tile[1], tile[0]), Image.Resampling.LANCZOS))
        tiles.append(Tile(picture=picture, caption=view))
    return Cell(
        label=evaluation.truth.labels[index],
        part_id=evaluation.truth.part_ids[index],
        score=f"largest change {float(difference.max()):.2f}",
        tiles=tuple(tiles),
    )


@dataclass(frozen=True, kw_only=True)
class NormalAppearance:
    """Nearest normal features of parts, as the flow sees it.

    Attributes:
        features: (B, V, C, h, w).
        difference: root mean square over channels of what had to change, (B, V, h, w).
    """

    features: Tensor
    difference: Tensor


def normal_appearance(flow: MultiFlow, features: Tensor, *, limit: float = 0.0) -> NormalAppearance:
    """Take features to latents, bring the latents near their mean 0, and take them back.

    Args:
        features: (B, V, C, h, w), standardised as in training.
        limit: latents are clipped to so many standard deviations; 0 gives the features that every latent
            at its mean stands for, whatever the part. Latents within the limit change nothing.
    """
    with torch.inference_mode():
        normal = flow.inverse(flow(features).z.clamp(-limit, limit))
        return NormalAppearance(features=normal, difference=(features - normal).square().mean(2).sqrt())
