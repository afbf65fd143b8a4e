"""Mean and covariance of what a convolution's kernel sees, in the integers that the INT8 graph computes with.

Sums of products of integers are exact in any order, so that the same parts give the same weights whatever
the number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
import torch
import torch.nn.functional as F
from torch import Tensor

from edgeflow_export.conversion.int8.activation_ranges import Range
from edgeflow_export.conversion.int8.onnx_graph import attribute
from edgeflow_export.conversion.int8.rounding.second_order import Floats

__all__ = ["MOST_POSITIONS", "InputMoments", "Window"]

MOST_POSITIONS = 32_768
"""Positions of a layer's kernel that are looked at, spread evenly over all images."""
_GROUPED_POSITIONS = 8_192
"""Positions that are looked at in a layer of several groups, whose kernels see few inputs each."""
_MIDDLE = 128
_EXACT_ROWS = 1024  # so many products of integers between -128 and 128 add up exactly in float32


@dataclass(frozen=True, kw_only=True)
class Window:
    """The movement of a convolution's kernel over its input."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pads: tuple[int, int, int, int]
    groups: int

    @classmethod
    def of(cls, node: onnx.NodeProto, weights: npt.NDArray[np.generic]) -> Window:
        """The window of a convolution with weights (O, I/groups, kh, kw)."""
        height, width = weights.shape[2:]
        pads = attribute(node, "pads", [0, 0, 0, 0])
        strides, dilations = (attribute(node, name, [1, 1]) for name in ("strides", "dilations"))
        groups = attribute(node, "group", 1)
        return cls(
            kernel=(height, width),
            stride=tuple(strides),  # type: ignore[arg-type]
            dilation=tuple(dilations),  # type: ignore[arg-type]
            pads=tuple(pads),  # type: ignore[arg-type]
            groups=int(groups),  # type: ignore[call-overload]
        )


class InputMoments:
    """The mean and the covariance of x over positions of a kernel, one matrix per group.

    Args:
        bounds: range of the input in the INT8 graph.
        images: number of images (N of the inputs, all together) that will be added.
    """

    def __init__(self, window: Window, bounds: Range, images: int) -> None:
        self._window, self._bounds, self._images = window, bounds, images
        self._seen = 0
        self._sum: Tensor | None = None
        self._squares: Tensor | None = None
        self._positions = 0

    @property
    def mean(self) -> Floats:
        """(groups, inputs), inputs in the order of the kernel's weights, in steps of the range."""
        return self._mean + self._shift

    @property
    def covariance(self) -> Floats:
        """(groups, inputs, inputs), times the number of positions."""
        assert self._squares is not None  # noqa: S101 - calibration has at least one part
        mean = self._mean
        return np.asarray(self._squares.numpy() - self._positions * mean[:, :, None] * mean[:, None])

    @property
    def _mean(self) -> Floats:
        """The mean of the integers as they are added up, which lie around 0."""
        assert self._sum is not None  # noqa: S101 - calibration has at least one part
        return np.asarray(self._sum.numpy() / self._positions)

    @property
    def _shift(self) -> int:
        return _MIDDLE - self._bounds.zero_point

    def add(self, inputs: npt.NDArray[np.float32]) -> None:
        """Take in the layer's inputs (N, C, H, W)."""
        for image in torch.from_numpy(inputs):
            self._add(self._patches(image[None]))

    def _add(self, patches: Tensor) -> None:
        groups, size, positions = patches.shape
        if self._sum is None or self._squares is None:
            self._sum = torch.zeros((groups, size), dtype=torch.float64)
            self._squares = torch.zeros((groups, size, size), dtype=torch.float64)
        for rows in torch.split(patches, _EXACT_ROWS, dim=2):
            self._squares += rows @ rows.transpose(1, 2)
            self._sum += rows.sum(dim=2)
        self._positions += positions

    def _integers(self, values: Tensor) -> Tensor:
        """The integers of values less 128; ``_shift`` more is the distance from the zero point."""
        scale, zero = self._bounds.scale, self._bounds.zero_point
        return torch.round(values / scale).add_(zero).clamp_(0, 255).sub_(_MIDDLE)

    def _patches(self, image: Tensor) -> Tensor:
        """Kernel inputs (groups, inputs, positions) of one image (1, C, H, W), thinned out evenly."""
        window, turn = self._window, self._seen
        self._seen += 1
        top, left, bottom, right = window.pads
        height, width = image.shape[2] + top + bottom, image.shape[3] + left + right
        rows, columns = (
            (size - dilation * (kernel - 1) - 1) // stride + 1
            for size, dilation, kernel, stride in zip(
                (height, width), window.dilation, window.kernel, window.stride, strict=True
            )
        )
        most = MOST_POSITIONS if window.groups == 1 else _GROUPED_POSITIONS
        step = max(1, int(np.ceil(np.sqrt(rows * columns * self._images / most))))
        step = min(step, rows, columns)
        # Another offset in every image, so that no place of the images is left out.
        down, across = (turn // step) % step * window.stride[0], turn % step * window.stride[1]
        strides = (window.stride[0] * step, window.stride[1] * step)
        if window.kernel == (1, 1) and not any(window.pads):
            seen = self._integers(image[:, :, down :: strides[0], across :: strides[1]])
            return seen.reshape(window.groups, seen.shape[1] // window.groups, -1)
        integers = self._integers(image)
        padded = F.pad(integers, (left, right, top, bottom), value=-self._shift)[:, :, down:, across:]
        unfolded = F.unfold(padded, window.kernel, dilation=window.dilation, stride=strides)
        return unfolded[0].reshape(window.groups, -1, unfolded.shape[-1])
