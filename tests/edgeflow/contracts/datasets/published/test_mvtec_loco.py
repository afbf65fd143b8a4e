"""MVTec LOCO AD: several masks of one image are one mask, whatever numbers they are painted with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeflow.contracts.datasets.find_parts import find_parts, look_for_parts
from edgeflow.contracts.datasets.layouts import PartsRequest
from edgeflow.contracts.image_files.mask_sources import (
    defect_mask_size,
    missing_mask_files,
    read_defect_mask,
)
from edgeflow.errors import DataError
from tests.support.data_sets import DEFECT, draw, draw_mask, marked

OTHER = (slice(10, 12), slice(0, 3))


@pytest.fixture
def pushpins(tmp_path: Path) -> Path:
    root = tmp_path / "mvtec_loco_anomaly_detection" / "pushpins"
    draw(root / "train/good/000.png", root / "validation/good/000.png", root / "test/good/000.png")
    draw(root / "test/logical_anomalies/000.png", root / "test/structural_anomalies/000.png")
    truth = root / "ground_truth"
    draw_mask(truth / "logical_anomalies/000/000.png", where=DEFECT, value=255)
    draw_mask(truth / "logical_anomalies/000/001.png", where=OTHER, value=249)
    draw_mask(truth / "structural_anomalies/000/000.png", value=254)
    (root / "defects_config.json").write_text('[{"defect_name": "x", "pixel_value": 255}]')
    return root


def test_parts_have_splits_kinds_and_joined_masks(pushpins: Path) -> None:
    parts = {part.part_id: part for part in find_parts(pushpins)}
    assert {name: (part.split, part.label) for name, part in parts.items()} == {
        "train/good/000": ("train", "OK"),
        "validation/good/000": ("validation", "OK"),
        "test/good/000": ("test", "OK"),
        "test/logical_anomalies/000": ("test", "logical_anomalies"),
        "test/structural_anomalies/000": ("test", "structural_anomalies"),
    }
    mask = parts["test/logical_anomalies/000"].masks["image"]
    assert mask is not None
    assert (defect_mask_size(mask), missing_mask_files(mask)) == ((16, 16), [])
    expected = marked()
    expected[OTHER] = True
    assert np.array_equal(read_defect_mask(mask), expected)


def test_saturation_thresholds_are_said_not_to_be_used(pushpins: Path) -> None:
    found = look_for_parts(pushpins.parent, PartsRequest())
    assert found.layout == "mvtec_loco"
    assert found.notes == (
        "the saturation thresholds of defects_config.json are not used: sPRO is not computed",
    )


def test_masks_that_differ_in_size_are_refused_and_missing_ones_named(pushpins: Path) -> None:
    draw_mask(pushpins / "ground_truth/logical_anomalies/000/001.png", size=(8, 16))
    (pushpins / "ground_truth/structural_anomalies/000/000.png").unlink()
    parts = {part.part_id: part for part in find_parts(pushpins)}
    different = parts["test/logical_anomalies/000"].masks["image"]
    missing = parts["test/structural_anomalies/000"].masks["image"]
    assert different is not None
    assert missing is not None
    with pytest.raises(
        DataError, match=r"masks of one image differ in size: .*000.png 16x16, .*001.png 16x8"
    ):
        read_defect_mask(different)
    assert missing_mask_files(missing) == [pushpins / "ground_truth/structural_anomalies/000/000.png"]
