"""Mean and covariance of a kernel's inputs: those of any convolution over them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from edgeflow_export.conversion.int8.activation_ranges import Range
from edgeflow_export.conversion.int8.rounding.input_moments import InputMoments, Window

UNIT = Range(low=0.0, high=255.0)  # each integer stands for itself


@pytest.mark.parametrize(
    "window",
    [
        Window(kernel=(3, 3), stride=(1, 1), dilation=(1, 1), pads=(1, 1, 1, 1), groups=1),
        Window(kernel=(3, 3), stride=(2, 2), dilation=(1, 1), pads=(0, 0, 1, 1), groups=4),
        Window(kernel=(1, 1), stride=(1, 1), dilation=(1, 1), pads=(0, 0, 0, 0), groups=2),
        Window(kernel=(3, 2), stride=(1, 1), dilation=(2, 1), pads=(2, 0, 2, 1), groups=1),
    ],
)
def test_they_give_mean_and_variance_of_a_convolution_s_outputs(window: Window) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 4, 12, 10)).astype(np.float32)
    found = InputMoments(window, UNIT, len(images))
    found.add(images[:1])
    found.add(images[1:])
    kernel = rng.integers(-3, 4, (window.groups * 2, 4 // window.groups, *window.kernel)).astype(np.float64)
    top, left, bottom, right = window.pads
    outputs = F.conv2d(
        F.pad(torch.from_numpy(images).double(), (left, right, top, bottom)),
        torch.from_numpy(kernel),
        stride=window.stride,
        dilation=window.dilation,
        groups=window.groups,
    )
    rows = kernel.reshape(window.groups, 2, -1)
    means = np.einsum("goi,gi->go", rows, found.mean).reshape(-1)
    np.testing.assert_allclose(means, outputs.mean((0, 2, 3)).numpy(), rtol=1e-12)
    varied = np.einsum("goi,gij,goj->go", rows, found.covariance, rows).reshape(-1)
    expected = (outputs - outputs.mean((0, 2, 3), keepdim=True)).square().sum((0, 2, 3))
    np.testing.assert_allclose(varied, expected.numpy(), rtol=1e-9)


def test_values_count_as_the_distance_from_the_zero_point() -> None:
    window = Window(kernel=(1, 1), stride=(1, 1), dilation=(1, 1), pads=(0, 0, 0, 0), groups=1)
    bounds = Range(low=-1.0, high=4.1)  # steps of 0.02, zero at 50
    found = InputMoments(window, bounds, 1)
    found.add(np.array([[[[-9.0, 0.0, 0.041, 99.0]]]], np.float32))
    assert (bounds.scale, bounds.zero_point) == (pytest.approx(0.02), 50)
    assert found.mean[0, 0] == (-50 + 0 + 2 + 205) / 4  # clipped below and above


def test_large_images_are_thinned_out_evenly() -> None:
    window = Window(kernel=(1, 1), stride=(1, 1), dilation=(1, 1), pads=(0, 0, 0, 0), groups=1)
    found = InputMoments(window, UNIT, 16)
    for _ in range(16):
        found.add(np.indices((256, 256), np.float32)[:1, None])
    assert found.mean[0, 0] == pytest.approx(127.5, abs=3)
    positions = found.covariance[0, 0, 0] / np.var(np.arange(256))
    assert 16_000 < positions <= 40_000
