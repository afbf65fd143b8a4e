"""Drawn masks go through the geometry of their view, so that they lie on the map where the part does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeflow.contracts.manifest import Preprocessing, ViewSpec
from edgeflow.contracts.preprocess import prepare
from edgeflow_export.masks.teachers import FixedTeacher

PART = np.zeros((512, 768), np.uint8)
PART[96:288, 320:640] = 255


@pytest.mark.parametrize(
    "view",
    [
        ViewSpec(id="top"),
        ViewSpec(id="top", turns=1, mirror=True),
        ViewSpec(id="top", crop=(256, 64, 448, 256), turns=3, letterbox=(1, 1)),
    ],
)
def test_a_fixed_mask_covers_the_part_in_the_models_image(view: ViewSpec, tmp_path: Path) -> None:
    Image.fromarray(PART).save(tmp_path / "top.png")
    image = np.repeat(PART[..., np.newaxis], 3, axis=2)
    (mask,) = FixedTeacher(tmp_path).masks("p", [image], [view], (32, 32))
    seen = prepare(image, view, Preprocessing(height=32, width=32))[..., 0] > 200
    assert seen.any()
    assert mask[seen].all()  # and a little more: the published masks are dilated
    assert mask.sum() <= seen.sum() + 140
