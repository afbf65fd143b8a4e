"""Ranges of activations and rounded weights: an INT8 graph's, found once for all back ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from edgeflow_export.conversion.int8.activation_ranges import Range, find_ranges
from edgeflow_export.conversion.int8.batch_norm import fold_batch_norms
from edgeflow_export.conversion.int8.equalisation import equalise
from edgeflow_export.conversion.int8.layers import Layer, find_layers
from edgeflow_export.conversion.int8.onnx_graph import OnnxGraph
from edgeflow_export.conversion.int8.options import Int8Options
from edgeflow_export.conversion.int8.passes import HELD_BYTES, Passes
from edgeflow_export.conversion.int8.quantized_graph import Calibration, GridWeights, write_quantized
from edgeflow_export.conversion.int8.rounding.input_moments import InputMoments, Window
from edgeflow_export.conversion.int8.rounding.second_order import (
    Floats,
    grid_scales,
    round_nearest,
    round_second_order,
)

__all__ = ["calibrate", "prepare"]

Samples = Sequence[npt.NDArray[np.generic]]

STAGES = 16
"""Steps at most in which the extractor is rounded; layers of one step see each other in float."""
_IMAGE = Range(low=0.0, high=255.0)


def prepare(path: Path, options: Int8Options) -> tuple[onnx.ModelProto, tuple[Layer, ...]]:
    """An ONNX graph with its normalisations folded, and its layers that go to INT8."""
    model = onnx.load(path)
    graph = OnnxGraph(model)
    fold_batch_norms(graph)
    if options.equalise:
        equalise(graph)
    layers = find_layers(graph)
    if options.rounding == "nearest":
        layers = tuple(layer for layer in layers if not layer.reads_image)
    return model, layers


def calibrate(
    path: Path,
    samples: Samples,
    options: Int8Options,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    *,
    held_bytes: int = HELD_BYTES,
) -> Calibration:
    """Find ranges and round weights on normal parts.

    The extractor's layers are rounded from the image on, each for what the layers before it, already in
    INT8, give it.

    Args:
        path: the ONNX graph in float.
        samples: the graph's inputs, one per part.
        progress: told how many of the extractor's layers are rounded, and how many there are.
        held_bytes: memory for values between the steps, which saves time; see ``Passes``.
    """
    model, layers = prepare(path, options)
    steps = _Rounding(OnnxGraph(model), layers, Passes.of(model, samples, held_bytes), options)
    steps.find_ranges()
    steps.round_nearest([layer for layer in layers if layer.in_flow])
    others = [layer for layer in layers if not layer.in_flow]
    if options.rounding == "nearest":
        steps.round_nearest(others)
    else:
        stages = np.array_split(np.arange(len(others)), min(STAGES, len(others))) if others else []
        for stage in stages:
            steps.round_second_order([others[place] for place in stage])
            progress(int(stage[-1]) + 1, len(others))
    steps.find_flow_ranges()
    return Calibration(model=model, layers=layers, ranges=steps.ranges, weights=steps.weights)


@dataclass
class _Rounding:
    """The steps of one calibration, and what they have found so far."""

    graph: OnnxGraph
    layers: tuple[Layer, ...]
    passes: Passes
    options: Int8Options
    ranges: dict[str, Range] = field(default_factory=dict)
    weights: dict[str, GridWeights] = field(default_factory=dict)

    def find_ranges(self) -> None:
        """Ranges of all layers, of the graph in float."""
        wanted = dict.fromkeys(edge.tensor for layer in self.layers for edge in layer.edges)
        self.ranges |= find_ranges(self.graph.model, list(wanted), self.passes)
        for layer in self.layers:
            if layer.reads_image and _is_image(self.ranges[layer.edge.tensor]):
                self.ranges[layer.edge.tensor] = _IMAGE

    def find_flow_ranges(self) -> None:
        """Ranges of the flow's layers anew, now that the extractor before it is in INT8, with headroom."""
        flow = [layer for layer in self.layers if layer.in_flow]
        wanted = dict.fromkeys(layer.edge.tensor for layer in flow)
        found = find_ranges(self._quantized(flow), list(wanted), self.passes)
        self.ranges |= {name: bounds.widened(self.options.headroom) for name, bounds in found.items()}

    def round_nearest(self, layers: Sequence[Layer]) -> None:
        """Each weight to the nearest value of its channel's grid."""
        for layer in layers:
            weights, shape = self._weights_of(layer)
            largest = np.maximum(np.abs(weights).max(axis=2), 1e-12)
            scales = (largest / self.options.limit).astype(np.float32).astype(np.float64)
            integers = round_nearest(weights, scales, self.options.limit)
            self.weights[layer.name] = GridWeights.of(integers.reshape(shape), scales)

    def round_second_order(self, layers: Sequence[Layer]) -> None:
        """Weights of layers for the inputs that the layers rounded before give them."""
        moments = self._moments(layers)
        for layer in layers:
            weights, shape = self._weights_of(layer)
            inputs = moments[layer.name]
            # The bias takes care of the mean, so that weights have to keep only what varies.
            covariance = inputs.covariance
            importance = np.diagonal(covariance, axis1=1, axis2=2)
            scales = grid_scales(weights, importance, self.options.limit)
            integers = round_second_order(weights, covariance, scales, self.options.limit)
            lost = weights - integers * scales[..., None]
            shift = np.einsum("goi,gi->go", lost, inputs.mean) * self.ranges[layer.edge.tensor].scale
            self.weights[layer.name] = GridWeights.of(integers.reshape(shape), scales, shift)

    def _moments(self, layers: Sequence[Layer]) -> dict[str, InputMoments]:
        """Mean and covariance of what layers read behind those that are rounded already."""
        nodes = {node.name: node for node in self.graph.convolutions()}
        inputs = {layer.name: nodes[layer.name].input[0] for layer in layers}
        later = [layer for layer in self.layers if layer.in_flow or layer.name not in self.weights]
        found: dict[str, InputMoments] = {}
        wanted = list(dict.fromkeys(inputs.values()))
        for values in self.passes.observe(self._quantized(later), wanted, _nodes(later)):
            for layer in layers:
                value = values[inputs[layer.name]]
                if layer.name not in found:
                    window = Window.of(nodes[layer.name], self._kernel(nodes[layer.name]))
                    bounds = self.ranges[layer.edge.tensor]
                    found[layer.name] = InputMoments(window, bounds, len(value) * len(self.passes))
                found[layer.name].add(value)
        return found

    def _quantized(self, in_float: Sequence[Layer]) -> onnx.ModelProto:
        """The graph with the layers that are rounded so far in INT8, but for some."""
        calibration = Calibration(
            model=self.graph.model, layers=self.layers, ranges=self.ranges, weights=self.weights
        )
        return write_quantized(calibration, {layer.place for layer in in_float})

    def _kernel(self, node: onnx.NodeProto) -> npt.NDArray[np.generic]:
        kernel = self.graph.constant(node.input[1])
        assert kernel is not None  # noqa: S101 - else it were no layer
        return kernel

    def _weights_of(self, layer: Layer) -> tuple[Floats, tuple[int, ...]]:
        """Weights (groups, outputs, inputs) in float64, and the shape that the graph has them in."""
        node = next(node for node in self.graph.convolutions() if node.name == layer.name)
        kernel = self._kernel(node)
        groups = Window.of(node, kernel).groups
        return kernel.astype(np.float64).reshape(groups, kernel.shape[0] // groups, -1), kernel.shape


def _nodes(layers: Iterable[Layer]) -> set[str]:
    """The nodes that have another form once layers are in INT8."""
    return {name for layer in layers for name in (layer.name, *(edge.node for edge in layer.edges))}


def _is_image(bounds: Range) -> bool:
    """True if these are values of an 8-bit image as it is: then each has an integer of its own."""
    return bounds.low >= 0 and 16 < bounds.high <= _IMAGE.high
