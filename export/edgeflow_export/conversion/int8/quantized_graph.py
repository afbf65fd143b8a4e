"""The INT8 form of an ONNX graph: 8-bit inputs and weights of convolutions, everything else in float."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnxscript import optimizer

from edgeflow_export.conversion.int8.activation_ranges import Range
from edgeflow_export.conversion.int8.layers import Edge, Layer
from edgeflow_export.conversion.int8.onnx_graph import OnnxGraph

__all__ = ["Calibration", "GridWeights", "write_quantized"]


@dataclass(frozen=True, kw_only=True)
class GridWeights:
    """Weights of a convolution as integers (O, I/groups, kh, kw) times one step per output channel (O,).

    Attributes:
        shift: added to the bias (O,): what rounding takes from the outputs' means.
    """

    integers: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]
    shift: npt.NDArray[np.float32]

    @classmethod
    def of(
        cls,
        integers: npt.NDArray[np.int8],
        scales: npt.NDArray[np.float64],
        shift: npt.NDArray[np.float64] | None = None,
    ) -> GridWeights:
        """From steps and shifts (groups, outputs); default: no shift."""
        shift = np.zeros(scales.shape) if shift is None else shift
        flat = (each.reshape(-1).astype(np.float32) for each in (scales, shift))
        steps, shifts = flat
        return cls(integers=integers, scales=steps, shift=shifts)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A graph in float with all that its INT8 form needs.

    Attributes:
        model: normalisations folded.
        ranges: of what each layer's edges read, by the tensor's name.
        weights: by the layer's name.
    """

    model: onnx.ModelProto
    layers: tuple[Layer, ...]
    ranges: Mapping[str, Range]
    weights: Mapping[str, GridWeights]


def write_quantized(
    calibration: Calibration, kept: Collection[int] = (), *, integer_bias: bool = False
) -> onnx.ModelProto:
    """The graph with a calibration's layers in INT8.

    Args:
        kept: places of convolutions that stay in float, with the weights that they had.
        integer_bias: biases as 32-bit integers too, which ONNX Runtime's integer convolutions need.
    """
    model = onnx.ModelProto()
    model.CopyFrom(calibration.model)
    graph = OnnxGraph(model)
    nodes = {node.name: node for node in graph.graph.node}
    added = _Added(graph)
    for layer in calibration.layers:
        if layer.place in kept:
            continue
        bounds = calibration.ranges[layer.edge.tensor]
        convolution, weights = nodes[layer.name], calibration.weights[layer.name]
        for edge in layer.edges:
            added.redirect(nodes[edge.node], edge, calibration.ranges[edge.tensor])
        convolution.input[1] = added.weights(convolution.input[1], weights)
        added.shift(convolution, weights.shift)
        if integer_bias and len(convolution.input) > 2:
            convolution.input[2] = added.bias(convolution, weights.scales * np.float32(bounds.scale))
    ordered = _in_order(graph, added.nodes)
    del graph.graph.node[:]
    graph.graph.node.extend(ordered)
    optimizer.remove_unused_nodes(model)
    return model


class _Added:
    """Nodes and constants that a graph gets."""

    def __init__(self, graph: OnnxGraph) -> None:
        self._graph = graph
        self.nodes: list[onnx.NodeProto] = []
        self._rounded: dict[str, str] = {}

    def redirect(self, reader: onnx.NodeProto, edge: Edge, bounds: Range) -> None:
        """Let a node read one of its inputs in 8 bits."""
        if reader.input[edge.port] == edge.tensor:
            reader.input[edge.port] = self._in_eight_bits(edge.tensor, bounds)

    def _in_eight_bits(self, tensor: str, bounds: Range) -> str:
        """The name of a tensor's values, rounded to 8 bits."""
        if tensor not in self._rounded:
            scale = self._graph.set_constant(f"{tensor}.scale", np.array(bounds.scale, np.float32))
            zero = self._graph.set_constant(f"{tensor}.zero_point", np.array(bounds.zero_point, np.uint8))
            self._node("QuantizeLinear", [tensor, scale, zero], f"{tensor}.integers")
            self._node("DequantizeLinear", [f"{tensor}.integers", scale, zero], f"{tensor}.rounded")
            self._rounded[tensor] = f"{tensor}.rounded"
        return self._rounded[tensor]

    def weights(self, name: str, weights: GridWeights) -> str:
        """The name of weights that are stored as integers."""
        if name not in self._rounded:
            integers = self._graph.set_constant(f"{name}.integers", weights.integers)
            scales = self._graph.set_constant(f"{name}.scales", weights.scales)
            zeros = self._graph.set_constant(f"{name}.zero_points", np.zeros(len(weights.scales), np.int8))
            self._node("DequantizeLinear", [integers, scales, zeros], f"{name}.rounded", axis=0)
            self._rounded[name] = f"{name}.rounded"
        return self._rounded[name]

    def shift(self, convolution: onnx.NodeProto, values: npt.NDArray[np.float32]) -> None:
        """Add values (O,) to a convolution's bias."""
        if not values.any():
            return
        before = self._graph.constant(convolution.input[2]) if len(convolution.input) > 2 else None
        del convolution.input[2:]
        name = f"{convolution.name}.shifted_bias"
        convolution.input.append(
            self._graph.set_constant(
                name, values if before is None else np.asarray(before, np.float32) + values
            )
        )

    def bias(self, convolution: onnx.NodeProto, scales: npt.NDArray[np.float32]) -> str:
        """The name of a convolution's bias in 32-bit integers, which are its sums of products."""
        value = self._graph.constant(convolution.input[2])
        assert value is not None  # noqa: S101 - exported models have constant biases
        name = f"{convolution.name}.bias"
        limit = np.iinfo(np.int32)
        rounded = np.clip(np.rint(value.astype(np.float64) / scales), limit.min, limit.max)
        integers = self._graph.set_constant(f"{name}.integers", rounded.astype(np.int32))
        steps = self._graph.set_constant(f"{name}.scales", scales)
        self._node("DequantizeLinear", [integers, steps], name, axis=0)
        return name

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: int) -> None:
        self.nodes.append(onnx.helper.make_node(kind, inputs, [output], name=output, **attributes))


def _in_order(graph: OnnxGraph, added: Collection[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """All nodes, the added ones as soon as what they read is computed."""
    producer = {name: node for node in added for name in node.output}
    ordered: list[onnx.NodeProto] = []
    placed: set[str] = set()

    def place(node: onnx.NodeProto) -> None:
        if node.name in placed:
            return
        for name in node.input:
            if name in producer:
                place(producer[name])
        placed.add(node.name)
        ordered.append(node)

    for node in graph.graph.node:
        place(node)
    return ordered
