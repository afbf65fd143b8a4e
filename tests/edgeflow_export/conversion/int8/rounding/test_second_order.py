"""Second-order rounding moves outputs less than rounding each weight by itself, on the same grid."""

from __future__ import annotations

import numpy as np
import pytest

from edgeflow_export.conversion.int8.options import Int8Options
from edgeflow_export.conversion.int8.rounding.second_order import (
    grid_scales,
    output_error,
    round_nearest,
    round_second_order,
)

GROUPS, OUTPUTS, INPUTS, LIMIT = 2, 8, 27, 64


@pytest.fixture
def weights() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(GROUPS, OUTPUTS, INPUTS))


@pytest.fixture
def moments() -> np.ndarray:
    """Of inputs that go together, as the pixels under a kernel do, around a mean that is not zero."""
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(GROUPS, 500, 5)) @ rng.normal(size=(GROUPS, 5, INPUTS)) + 2
    inputs += 0.2 * rng.normal(size=inputs.shape)
    return inputs.transpose(0, 2, 1) @ inputs


def test_outputs_move_less_than_by_nearest_rounding(weights: np.ndarray, moments: np.ndarray) -> None:
    scales = np.abs(weights).max(axis=2) / LIMIT
    errors = {}
    for name, integers in (
        ("nearest", round_nearest(weights, scales, LIMIT)),
        ("second order", round_second_order(weights, moments, scales, LIMIT)),
    ):
        assert np.abs(integers.astype(int)).max() <= LIMIT
        errors[name] = output_error(weights, integers * scales[..., None], moments)
    assert 0 < errors["second order"] < 0.3 * errors["nearest"]


def test_inputs_that_do_not_go_together_leave_nothing_to_make_up_for(weights: np.ndarray) -> None:
    moments = np.stack([np.diag(np.arange(1.0, INPUTS + 1))] * GROUPS)
    scales = np.abs(weights).max(axis=2) / LIMIT
    found = round_second_order(weights, moments, scales, LIMIT)
    np.testing.assert_array_equal(found, round_nearest(weights, scales, LIMIT))


def test_groups_are_rounded_each_by_its_own_inputs(weights: np.ndarray, moments: np.ndarray) -> None:
    scales = np.abs(weights).max(axis=2) / LIMIT
    together = round_second_order(weights, moments, scales, LIMIT)
    for group in range(GROUPS):
        one = slice(group, group + 1)
        alone = round_second_order(weights[one], moments[one], scales[one], LIMIT)
        np.testing.assert_array_equal(together[one], alone)


def test_inputs_that_are_always_zero_and_weights_that_are_zero_do_no_harm() -> None:
    weights = np.zeros((1, 2, 4))
    weights[0, 0] = [1.0, -0.5, 0.25, 0.1]
    scales = grid_scales(weights, np.zeros((1, 4)), LIMIT)
    found = round_second_order(weights, np.zeros((1, 4, 4)), scales, LIMIT)
    np.testing.assert_allclose(found * scales[..., None], weights, atol=scales.max() / 2 + 1e-9)


def test_the_step_of_a_grid_is_the_one_that_costs_least(weights: np.ndarray) -> None:
    importance = np.ones((GROUPS, INPUTS))
    scales = grid_scales(weights, importance, 2)
    widest = (np.abs(weights).max(axis=2) / 2).astype(np.float32)

    def cost(steps: np.ndarray) -> np.ndarray:
        rounded = round_nearest(weights, steps, 2) * steps[..., None]
        return ((weights - rounded) ** 2).sum(axis=2)

    assert (cost(scales) <= cost(widest) + 1e-9).all()
    assert (scales < widest).any()  # clipping a few costs less than a coarse grid for all


def test_two_products_of_half_range_weights_fit_sixteen_bits() -> None:
    assert 2 * 255 * Int8Options(weights="half").limit <= np.iinfo(np.int16).max
    assert 2 * 255 * Int8Options(weights="full").limit > np.iinfo(np.int16).max
