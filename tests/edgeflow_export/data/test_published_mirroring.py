"""Published mirroring: the classes of Real-IAD and their cameras, and no others."""

from __future__ import annotations

import pytest

from edgeflow.errors import DataError
from edgeflow_export.data.published_mirroring import MIRRORING, published_mirroring


@pytest.mark.parametrize(
    ("class_name", "views"),
    [
        ("audiojack", ("C2",)),
        ("bottle_cap", ()),
        ("button_battery", ("C2", "C3", "C4", "C5")),
        ("eraser", ("C1",)),
        ("u_block", ("C1", "C4", "C5")),
        ("zipper", ("C2", "C3")),
    ],
)
def test_published_views_are_mirrored(class_name: str, views: tuple[str, ...]) -> None:
    assert published_mirroring(class_name) == views


def test_all_classes_of_real_iad_are_there() -> None:
    assert len(MIRRORING) == 30
    assert all(len(digits) == 5 and set(digits) <= {"0", "1"} for digits in MIRRORING.values())


def test_another_class_is_refused_with_the_alternatives() -> None:
    with pytest.raises(
        DataError, match=r"class 'bottlecap'; did you mean 'bottle_cap'\?; there is one for audiojack"
    ):
        published_mirroring("bottlecap")
    with pytest.raises(DataError, match=r"list the mirrored views themselves in data\.mirror"):
        published_mirroring("gearbox")
