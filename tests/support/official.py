"""A small official flow for three views, and what the published pipeline computes with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from edgeflow_export.models.multiflow import MultiFlow, nll_map
from edgeflow_export.models.published_multiflow import published_shape, published_state
from tests.support.tiny_extractor import tiny as tiny_extractor

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RECIPE = """
name: small
data: {root: parts, class_name: disc, validation_fraction: 0.5}
image: {height: 64, width: 64}
extractor: {kind: function, target: "tests.support.tiny_extractor:tiny", arguments: {channels: 16}}
export: {backends: [openvino], precisions: [fp32], golden_parts: 1}
"""


def three_views(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of views 0 to 2: a hub and a ring of two."""
    kept = {}
    for name, tensor in state.items():
        layer = name.split(".")[3]
        digits = [int(digit) for digit in layer if digit.isdigit()]
        if layer.startswith("topview"):
            views = [digits[0] + 1]
        elif layer.startswith(("conv_scale", "gamma")):
            views = digits[:1]
        else:
            views = digits
        if all(view < 3 for view in views):
            kept[name] = tensor
    return kept


def published_scores(state: dict[str, Tensor], images: list[Path]) -> tuple[np.ndarray, float]:
    """Maps (V, h, w) and part score as the published pipeline computes them."""
    shape = published_shape(state)
    flow = MultiFlow(shape)
    flow.load_state_dict(published_state(state, shape))
    pixels = np.stack(
        [np.asarray(Image.open(f).convert("RGB").resize((64, 64), Image.Resampling.BILINEAR)) for f in images]
    )
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    x = (x - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
    with torch.no_grad():
        maps = nll_map(flow.eval()(tiny_extractor(16)(x).unsqueeze(0)))[0].numpy()
    return maps, float(maps.max((1, 2)).mean())
