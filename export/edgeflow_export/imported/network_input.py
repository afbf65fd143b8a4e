"""The input of a network from elsewhere: its axes, its type, and how images become it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgeflow.errors import CheckpointError
from edgeflow_export.recipe import NetworkSpec

__all__ = ["Images", "InputPort", "NetworkInput", "read_input"]

Images = npt.NDArray[np.uint8]
COLOURS = 3


@dataclass(frozen=True, kw_only=True)
class InputPort:
    """The input of a file as the file describes it.

    Attributes:
        kind: type of its elements, as the file names it.
        dtype: None where no image becomes it.
        axes: sizes; None where the file leaves one open.
        labels: sizes or names of the axes, for people.
    """

    path: Path
    name: str
    kind: str
    dtype: np.dtype[np.generic] | None
    axes: tuple[int | None, ...]
    labels: tuple[str, ...]

    @property
    def shown(self) -> str:
        """Name and axes."""
        return f"{self.name} ({', '.join(self.labels)})"


@dataclass(frozen=True, kw_only=True)
class NetworkInput:
    """One image tensor.

    Attributes:
        layout: order of the axes; with V the views of one part stand behind a batch of one.
        batch: images of one run; None where any number goes.
        views: of the layouts with V: their number; None where any number goes.
    """

    name: str
    dtype: np.dtype[np.generic]
    layout: Literal["NCHW", "NHWC", "NVCHW", "NVHWC"]
    batch: int | None
    views: int | None
    height: int
    width: int

    def shape(self, images: int) -> tuple[int, ...]:
        """The tensor's shape for so many images; with V in the layout all of them are one part's."""
        sizes = {"C": COLOURS, "H": self.height, "W": self.width, "V": images}
        return tuple(sizes.get(axis, 1 if "V" in self.layout else images) for axis in self.layout)

    def tensor(self, images: Images, spec: NetworkSpec) -> npt.NDArray[np.generic]:
        """uint8 (n, H, W, 3), red first, as the network reads them."""
        values: npt.NDArray[np.generic] = images
        if spec.colour == "bgr":
            values = values[..., ::-1]
        if self.dtype != np.uint8:
            scale, shift = self.affine(spec)
            values = (values.astype(np.float64) * scale + shift).astype(self.dtype)
        if self.layout.endswith("CHW"):
            values = np.moveaxis(values, -1, 1)
        return np.ascontiguousarray(values.reshape(self.shape(len(images))))

    def affine(self, spec: NetworkSpec) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Factor and summand (3,) of a pixel from 0 to 255, in the network's order of colours."""
        low, high = spec.value_range
        mean, std = np.array(spec.mean), np.array(spec.std)
        scale, shift = (high - low) / (255.0 * std), (low - mean) / std
        return (scale[::-1], shift[::-1]) if spec.colour == "bgr" else (scale, shift)


def read_input(port: InputPort, spec: NetworkSpec, size: tuple[int | None, int | None]) -> NetworkInput:
    """Look at a network's input.

    Args:
        size: height and width that the recipe names; they fill what the file leaves open.

    Raises:
        CheckpointError: no tensor of images, free axes beside the batch that nobody named, another size than
            the recipe's, or a type that no image becomes.
    """
    path, name, dtype = port.path, port.name, port.dtype
    if dtype is None:
        raise CheckpointError(
            f"{path}: input {name} is {port.kind}; FLOAT, FLOAT16 and UINT8 are read: export it so"
        )
    if dtype != np.uint8 and spec.origin == "onnx" and not spec.says_values:
        raise CheckpointError(
            f"{path}: nothing says how pixels become input {name}; name it as it was in training: "
            "--value-range 0,1 with --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 (ImageNet), "
            "--value-range 0,1 alone, or 0,255"
        )
    if dtype == np.uint8 and (spec.mean, spec.std, spec.value_range) != ((0,) * 3, (1,) * 3, (0, 1)):
        raise CheckpointError(
            f"{path}: input {name} is uint8, which is the image itself; leave mean, std and value_range out"
        )
    return _described(port, dtype, size)


def _described(
    port: InputPort, dtype: np.dtype[np.generic], size: tuple[int | None, int | None]
) -> NetworkInput:
    axes = list(port.axes)
    layout = _layout(axes)
    if layout is None:
        raise CheckpointError(
            f"{port.path}: input {port.shown} is no tensor of colour images; NCHW and NHWC with 3 channels "
            "are read, and the same with an axis of views behind the batch"
        )
    places = {axis: axes[place] for place, axis in enumerate(layout)}
    height, width = (_side(port, places[axis], wanted) for axis, wanted in zip("HW", size, strict=True))
    return NetworkInput(
        name=port.name,
        dtype=dtype,
        layout=layout,
        batch=places["N"],
        views=places.get("V"),
        height=height,
        width=width,
    )


def _layout(axes: list[int | None]) -> Literal["NCHW", "NHWC", "NVCHW", "NVHWC"] | None:
    if len(axes) == 4:
        return "NCHW" if axes[1] == COLOURS else "NHWC" if axes[3] == COLOURS else None
    if len(axes) == 5 and axes[0] in (None, 1):
        return "NVCHW" if axes[2] == COLOURS else "NVHWC" if axes[4] == COLOURS else None
    return None


def _side(port: InputPort, found: int | None, wanted: int | None) -> int:
    if found is None and wanted is None:
        raise CheckpointError(
            f"{port.path}: input {port.shown} leaves the image's size open; name that of its training "
            "(--image-size 256x256, or image.height and image.width), or export it with a fixed size "
            "(anomalib: input_size)"
        )
    if found is not None and wanted not in (None, found):
        raise CheckpointError(
            f"{port.path}: input {port.shown} is for another size than the one named ({wanted})"
        )
    return int(found or wanted or 0)
