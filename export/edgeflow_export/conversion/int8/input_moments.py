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
from edgeflow_export.conversion.int8.second_order import Floats

__all__ = ["MOST_POSITIONS", "InputMoments", "Window"]

MOST_POSITIONS = 32_768
"""Positions of a layer's kernel that are looked at, spread evenly over all images."""
_EXACT_ROWS = 256  # 256 products of 8-bit integers add up exactly in float32


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
        assert self._sum is not None  # noqa: S101 - calibration has at least one part
        return np.asarray(self._sum.numpy() / self._positions)

    @property
    def covariance(self) -> Floats:
        """(groups, inputs, inputs), times the number of positions."""
        assert self._squares is not None  # noqa: S101 - calibration has at least one part
        mean = self.mean
        return np.asarray(self._squares.numpy() - self._positions * mean[:, :, None] * mean[:, None])

    def add(self, inputs: npt.NDArray[np.float32]) -> None:
        """Take in the layer's inputs (N, C, H, W)."""
        images = torch.from_numpy(inputs)
        patches = torch.cat([self._patches(self._integers(image[None])) for image in images], dim=2)
        groups, size, positions = patches.shape
        if self._sum is None or self._squares is None:
            self._sum = torch.zeros((groups, size), dtype=torch.float64)
            self._squares = torch.zeros((groups, size, size), dtype=torch.float64)
        for rows in torch.split(patches, _EXACT_ROWS, dim=2):
            self._squares += rows @ rows.transpose(1, 2)
            self._sum += rows.sum(dim=2)
        self._positions += positions

    def _integers(self, image: Tensor) -> Tensor:
        """Distance from the zero point, -255 to 255."""
        scale, zero = self._bounds.scale, self._bounds.zero_point
        return torch.clamp(torch.round(image / scale) + zero, 0, 255) - zero

    def _patches(self, image: Tensor) -> Tensor:
        """Kernel inputs (groups, inputs, positions) of one image (1, C, H, W), thinned out evenly."""
        window, turn = self._window, self._seen
        self._seen += 1
        top, left, bottom, right = window.pads
        padded = F.pad(image, (left, right, top, bottom))
        rows, columns = (
            (size - dilation * (kernel - 1) - 1) // stride + 1
            for size, dilation, kernel, stride in zip(
                padded.shape[2:], window.dilation, window.kernel, window.stride, strict=True
            )
        )
        step = max(1, int(np.ceil(np.sqrt(rows * columns * self._images / MOST_POSITIONS))))
        step = min(step, rows, columns)
        # Another offset in every image, so that no place of the images is left out.
        down, across = (turn // step) % step, turn % step
        padded = padded[:, :, down * window.stride[0] :, across * window.stride[1] :]
        strides = (window.stride[0] * step, window.stride[1] * step)
        unfolded = F.unfold(padded, window.kernel, dilation=window.dilation, stride=strides)
        return unfolded[0].reshape(window.groups, -1, unfolded.shape[-1])
