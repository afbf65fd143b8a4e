"""COCO's polygons and run lengths to pixels, against hand-made and published examples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeflow.contracts.datasets.annotated.drawn_mask import Runs, shapes_of
from edgeflow.contracts.datasets.annotated.shapes import decode_run_lengths, draw_polygon, run_lengths_of
from tests.support.data_sets import marked, polygon


def drawn(*corners: tuple[float, float], size: tuple[int, int] = (16, 16)) -> np.ndarray:
    mask = np.zeros(size, np.bool_)
    draw_polygon(mask, np.array(corners, np.float32))
    return mask


def compressed(lengths: list[int]) -> str:
    """COCO's text of run lengths, by its definition."""
    text = ""
    for number, length in enumerate(lengths):
        value = length - lengths[number - 2] if number > 2 else length
        while True:
            group, value = value & 0x1F, value >> 5
            more = value != (-1 if group & 0x10 else 0)
            text += chr((group | (0x20 if more else 0)) + 48)
            if not more:
                break
    return text


def run_lengths(mask: np.ndarray) -> list[int]:
    """Runs of a mask, column after column, unmarked first."""
    flat = mask.T.ravel()
    ends = np.flatnonzero(np.diff(flat)) + 1
    lengths = np.diff([0, *ends, flat.size]).tolist()
    return [0, *lengths] if flat[0] else lengths


def test_a_polygon_marks_the_pixels_whose_centres_it_holds() -> None:
    assert np.array_equal(drawn((4, 2), (8, 2), (8, 5), (4, 5)), marked())
    assert drawn((0, 0), (16, 0), (16, 16), (0, 16)).all()
    triangle = drawn((0, 0), (4, 0), (0, 4), size=(4, 4))
    assert triangle.tolist() == [[c + r + 1 < 4 for c in range(4)] for r in range(4)]


def test_a_polygon_out_of_the_image_marks_what_lies_in_it() -> None:
    assert drawn((-8, -8), (4, -8), (4, 40), (-8, 40)).sum() == 4 * 16
    assert not drawn((20, 20), (30, 20), (30, 30)).any()


def test_a_line_too_thin_for_any_centre_marks_the_pixels_that_it_crosses() -> None:
    mask = drawn((2.1, 3.1), (9.2, 3.1), (9.2, 3.2), (2.1, 3.2))
    assert np.argwhere(mask).tolist() == [[3, column] for column in range(2, 10)]


def test_run_lengths_go_down_the_columns_and_begin_unmarked() -> None:
    mask = decode_run_lengths([2, 3, 1, 1], (7, 1))
    assert mask[:, 0].tolist() == [False, False, True, True, True, False, True]
    assert np.array_equal(decode_run_lengths(run_lengths(marked()), (16, 16)), marked())
    assert decode_run_lengths([0, 6], (2, 3)).all()


def test_compressed_run_lengths_are_read() -> None:
    assert run_lengths_of("231N") == [2, 3, 1, 1]
    assert run_lengths_of("") == []


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 3_000_000), max_size=20))
def test_any_run_lengths_come_back_from_their_text(lengths: list[int]) -> None:
    assert run_lengths_of(compressed(lengths)) == lengths


@pytest.mark.parametrize(
    ("lengths", "problem"),
    [
        ([3], "runs of 3 pixels in all, and not the 4 of its size"),
        ([5, -1], "a run of -1 pixels"),
        ([2**40, 3], "a run of 1099511627776 pixels"),
    ],
)
def test_run_lengths_that_do_not_fit_are_refused(lengths: list[int], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        decode_run_lengths(lengths, (2, 2))


@pytest.mark.parametrize("text", ["2 3", "P", "o" * 40, "é"])
def test_text_that_is_no_compressed_mask_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="compressed mask"):
        run_lengths_of(text)


def test_segmentations_in_all_forms() -> None:
    (flat,) = shapes_of(polygon())
    (nested,) = shapes_of([polygon()])
    assert isinstance(flat, np.ndarray)
    assert isinstance(nested, np.ndarray)
    assert np.array_equal(flat, nested)
    assert shapes_of({"counts": [1, 2, 1], "size": [2, 2]}) == [Runs((1, 2, 1), (2, 2))]
    assert shapes_of({"counts": "231N", "size": [7, 1]}) == [Runs("231N", (7, 1))]
    assert shapes_of([]) == shapes_of(None) == []


@pytest.mark.parametrize(
    ("segmentation", "problem"),
    [
        ("x", "neither polygons nor run lengths"),
        ([[1, 2, 3, 4]], "three corners or more"),
        ([[1, 2, 3, 4, 5, None]], "three corners or more"),
        ([[1, 2, 3, 4, 5, "a"]], "holds what is no number"),
        ({"counts": [1]}, "have no size"),
        ({"counts": 3, "size": [1, 1]}, "neither numbers nor text"),
    ],
)
def test_segmentations_that_cannot_be_read_are_refused(segmentation: object, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        shapes_of(segmentation)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(-6, 22), st.floats(-6, 22)), min_size=3, max_size=9))
def test_any_polygon_marks_what_ray_casting_finds(corners: list[tuple[float, float]]) -> None:
    points = np.array(corners, np.float32).astype(np.float64)

    def holds(column: int, row: int) -> bool:
        found = False
        for (x, y), (u, v) in zip(points, np.roll(points, -1, axis=0), strict=True):
            if (y <= row + 0.5) != (v <= row + 0.5):
                found ^= x + (row + 0.5 - y) / (v - y) * (u - x) <= column + 0.5
        return found

    expected = np.array([[holds(column, row) for column in range(16)] for row in range(16)])
    if expected.any():
        assert np.array_equal(drawn(*corners), expected)
