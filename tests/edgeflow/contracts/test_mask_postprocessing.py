"""Foreground masks, bit for bit as published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from edgeflow.contracts.mask_postprocessing import (
    Mask,
    binarised,
    dilated,
    filled,
    foreground_mask,
    foreground_masks,
    map_mask,
    stored_mask,
)
from edgeflow.errors import DataError


@pytest.mark.parametrize("index", range(4))
def test_every_step_equals_the_published_one_bit_for_bit(published: Path, index: int) -> None:
    with np.load(published / "foreground_postprocess.npz") as recorded:

        def unpacked(step: str, size: int) -> Mask:
            return np.unpackbits(recorded[f"{step}_{index}"])[: size * size].reshape(size, size)

        mask = unpacked("mask1024", 1024)
        assert np.array_equal(filled(mask), unpacked("filled", 1024))
        assert np.array_equal(dilated(filled(mask)), unpacked("dilated", 1024))
        stored = stored_mask(dilated(filled(mask)))
        assert np.array_equal(stored, unpacked("mask256", 256))
        assert np.array_equal(map_mask(stored, 24, 24), recorded[f"mask24_{index}"])
        logits = np.where(mask, 3.0, -3.0).astype(np.float32)
        assert np.array_equal(foreground_masks(logits[None], 24, 24)[0], recorded[f"mask24_{index}"])


def test_even_odds_are_background_and_large_logits_do_not_overflow() -> None:
    # the sigmoid of 1e-9 is 0.5 in 32 bits
    logits = np.array([[0.0, -0.0, 1e-9, 1e-3, -1e-3, 1e4, -1e4]], np.float32)
    assert binarised(logits).tolist() == [[0, 0, 0, 1, 0, 1, 0]]


def test_hole_with_only_a_diagonal_way_out_is_filled() -> None:
    ring = np.array([[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 1, 0, 1, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0]])
    mask = ring.astype(np.uint8)
    expected = mask.copy()
    expected[2, 2] = 1
    assert np.array_equal(filled(mask), expected)
    mask[3, 2] = 0  # now there is a straight way out
    assert np.array_equal(filled(mask), mask)


def test_bay_at_the_border_is_no_hole() -> None:
    mask = np.ones((4, 4), np.uint8)
    mask[0, 1:3] = 0
    assert np.array_equal(filled(mask), mask)


def test_dilation_reaches_one_pixel_further_up_and_left() -> None:
    mask = np.zeros((20, 20), np.uint8)
    mask[10, 10] = 1
    rows, columns = np.nonzero(dilated(mask))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (6, 13, 6, 13)
    assert dilated(mask).sum() == 64


def test_map_size_rounds_a_bilinear_sample() -> None:
    mask = np.zeros((4, 4), np.uint8)
    mask[0, 0] = mask[0, 1] = mask[1, 0] = 1
    mask[2, 2] = 1
    # three of four give 0.75, one of four 0.25; nearest neighbour would take the corners 1 and 1
    assert map_mask(mask, 2, 2).tolist() == [[1, 0], [0, 0]]


def test_masks_of_all_views_come_at_map_size() -> None:
    logits = np.full((3, 64, 96), -5.0, np.float32)
    logits[1] = 5.0
    masks = foreground_masks(logits, 6, 8)
    assert masks.shape == (3, 6, 8)
    assert masks.dtype == np.uint8
    assert masks.reshape(3, -1).mean(1).tolist() == [0.0, 1.0, 0.0]
    assert foreground_mask(logits[1]).shape == (256, 256)
    assert foreground_masks(logits[:0], 6, 8).shape == (0, 6, 8)


def bad_logits() -> npt.NDArray[np.float32]:
    logits = np.zeros((3, 8, 8), np.float32)
    logits[1, 2, 3], logits[2, 0, 0] = np.nan, np.inf
    return logits


def test_logits_that_are_not_finite_are_refused_by_view() -> None:
    with pytest.raises(DataError, match="view 1, 2 are not finite"):
        foreground_masks(bad_logits(), 4, 4)
    with pytest.raises(DataError, match=r"expected logits \(V, H, W\)"):
        foreground_masks(bad_logits()[0], 4, 4)
