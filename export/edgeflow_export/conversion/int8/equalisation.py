"""Channel equalisation: what one convolution gives a channel less, the next one takes more of it.

The 8-bit range of an activation serves all its channels; those with small values get few of its steps.
Factors are powers of two, so that the float graph computes what it did, bit for bit (Nagel and others, 2019).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx

from edgeflow_export.conversion.int8.layers import EXTRACTOR, find_layers
from edgeflow_export.conversion.int8.onnx_graph import OnnxGraph, attribute

__all__ = ["equalise"]

_LARGEST = 4
"""Largest power of two, in either direction."""


def equalise(graph: OnnxGraph) -> None:
    """Equalise every pair of the extractor's convolutions that nothing else reads between."""
    nodes = {node.name: node for node in graph.convolutions()}
    for layer in find_layers(graph):
        after = nodes[layer.name]
        before = _before(graph, after) if layer.owner == EXTRACTOR else None
        if before is not None:
            _balance(graph, before, after)


def _before(graph: OnnxGraph, after: onnx.NodeProto) -> onnx.NodeProto | None:
    """The convolution whose output alone, rectified or not, another one reads."""
    tensor = after.input[0]
    while len(graph.consumers[tensor]) == 1 and not graph.is_output(tensor):
        node = graph.producers.get(tensor)
        if node is None or node.op_type not in ("Relu", "Conv"):
            return None
        if node.op_type == "Conv":
            constants = [*node.input[1:], after.input[1]]
            alone = all(len(graph.consumers[name]) == 1 for name in constants)
            return node if alone and all(graph.constant(name) is not None for name in constants) else None
        tensor = node.input[0]
    return None


def _balance(graph: OnnxGraph, before: onnx.NodeProto, after: onnx.NodeProto) -> None:
    giving, taking = _value(graph, before.input[1]), _value(graph, after.input[1])
    channels, groups = len(giving), attribute(after, "group", 1)
    if groups not in (1, channels):
        return
    axis = 1 if groups == 1 else 0
    given = np.abs(giving).reshape(channels, -1).max(axis=1)
    taken = np.abs(np.moveaxis(taking, axis, 0)).reshape(channels, -1).max(axis=1)
    usable = (given > 0) & (taken > 0)
    ratio = np.where(usable, given, 1.0) / np.where(usable, taken, 1.0)
    exponents = np.clip(np.rint(np.log2(ratio) / 2), -_LARGEST, _LARGEST)
    factors = np.exp2(exponents).astype(np.float32)
    graph.set_constant(before.input[1], _along(giving, 1 / factors, 0))
    graph.set_constant(after.input[1], _along(taking, factors, axis))
    if len(before.input) > 2:
        graph.set_constant(before.input[2], _along(_value(graph, before.input[2]), 1 / factors, 0))


def _value(graph: OnnxGraph, name: str) -> npt.NDArray[np.float32]:
    value = graph.constant(name)
    assert value is not None  # noqa: S101 - asked before
    return np.asarray(value, np.float32)


def _along(
    values: npt.NDArray[np.float32], factors: npt.NDArray[np.float32], axis: int
) -> npt.NDArray[np.float32]:
    """Values times one factor per channel."""
    shape = [1] * values.ndim
    shape[axis] = -1
    return np.asarray(values * factors.reshape(shape), np.float32)
