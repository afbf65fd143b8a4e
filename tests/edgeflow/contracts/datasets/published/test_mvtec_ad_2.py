"""MVTec AD 2: validation images set thresholds, the public test set is tested, private ones are not read."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.contracts.datasets.find_parts import find_parts, look_for_parts
from edgeflow.contracts.datasets.layouts import PartsRequest
from edgeflow.errors import DataError
from tests.support.data_sets import draw, draw_mask


@pytest.fixture
def can(tmp_path: Path) -> Path:
    root = tmp_path / "mvtec_ad_2" / "can"
    draw(root / "train/good/000_regular.png", root / "train/good/001_regular.png")
    draw(root / "validation/good/100_regular.png")
    draw(root / "test_public/good/200_regular.png", root / "test_public/bad/300_regular.png")
    draw_mask(root / "test_public/ground_truth/bad/300_regular_mask.png")
    draw(root / "test_private/400_regular.png", root / "test_private_mixed/500_overexposed.png")
    return root


def test_splits_labels_and_masks(can: Path) -> None:
    parts = {part.part_id: part for part in find_parts(can)}
    assert {name: (part.split, part.label) for name, part in parts.items()} == {
        "train/good/000_regular": ("train", "OK"),
        "train/good/001_regular": ("train", "OK"),
        "validation/good/100_regular": ("validation", "OK"),
        "test_public/good/200_regular": ("test", "OK"),
        "test_public/bad/300_regular": ("test", "bad"),
    }
    truth = can / "test_public" / "ground_truth" / "bad" / "300_regular_mask.png"
    assert parts["test_public/bad/300_regular"].masks == {"image": truth}


def test_private_images_are_left_out_and_said_so(can: Path) -> None:
    found = look_for_parts(can.parent, PartsRequest(class_name="can"))
    assert (found.layout, found.problems) == ("mvtec_ad_2", ())
    assert found.notes == ("2 images of test_private and test_private_mixed have no label and are left out",)
    with pytest.raises(DataError, match="no class 'vial'; found: can"):
        find_parts(can.parent, class_name="vial")
