"""The arctangent by a polynomial, over everything that float32 can hold."""

from __future__ import annotations

import math

import numpy as np
import torch

from edgeflow_export.conversion.rewriting.arctangent import ERROR_BOUND, arctangent


def everything() -> torch.Tensor:
    """Every 2,053rd finite float32, zeros, both sides of 1 closely, and infinities."""
    bits = np.arange(0, 0x7F800000, 2053, dtype=np.uint32)
    positive = np.concatenate(
        [bits.view(np.float32), np.float32(1) + np.arange(-512, 512, dtype=np.float32) * 2**-23]
    )
    positive = np.append(positive, [np.float32(0), np.finfo(np.float32).max, np.float32(np.inf)])
    return torch.from_numpy(np.concatenate([positive, -positive]).astype(np.float32))


def test_the_approximation_stays_within_its_bound_everywhere() -> None:
    values = everything().double()
    values = values[values.abs() <= 1e30]
    error = (arctangent(values) - torch.atan(values)).abs().max()
    assert ERROR_BOUND < 2e-8
    assert error <= ERROR_BOUND


def test_in_float32_only_rounding_is_added() -> None:
    values = everything()
    got = arctangent(values)
    assert torch.isfinite(got).all()
    assert (got.double() - torch.atan(values.double())).abs().max() < 2e-7
    assert torch.equal(got, -arctangent(-values))  # odd, to the last bit
    small = values[(values.abs() < 0.1) & (values.abs() > 1e-30)]
    assert ((arctangent(small) / torch.atan(small)) - 1).abs().max() < 5e-7


def test_what_is_not_a_number_stays_that() -> None:
    assert math.isnan(float(arctangent(torch.tensor(math.nan))))
