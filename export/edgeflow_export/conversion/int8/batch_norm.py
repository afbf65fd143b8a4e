"""Batch normalisations folded into the convolutions before them, whose weights are then rounded."""

from __future__ import annotations

import numpy as np
import onnx

from edgeflow_export.conversion.int8.onnx_graph import OnnxGraph, attribute

__all__ = ["fold_batch_norms"]


def fold_batch_norms(graph: OnnxGraph) -> None:
    """Fold every normalisation whose input is a convolution's alone; exact up to rounding of float32."""
    for node in list(graph.graph.node):
        if node.op_type != "BatchNormalization":
            continue
        convolution = graph.producers.get(node.input[0])
        if convolution is not None and _is_alone(graph, convolution):
            _fold(graph, convolution, node)
    graph.index()


def _is_alone(graph: OnnxGraph, convolution: onnx.NodeProto) -> bool:
    """True if nothing else reads a convolution's output, weights or bias."""
    if convolution.op_type != "Conv" or graph.is_output(convolution.output[0]):
        return False
    constants = convolution.input[1:]
    return all(graph.constant(name) is not None for name in constants) and all(
        len(graph.consumers[name]) == 1 for name in (convolution.output[0], convolution.input[1])
    )


def _fold(graph: OnnxGraph, convolution: onnx.NodeProto, node: onnx.NodeProto) -> None:
    gamma, beta, mean, variance = (_value(graph, name) for name in node.input[1:5])
    epsilon = attribute(node, "epsilon", 1e-5)
    assert isinstance(epsilon, float)  # noqa: S101 - by the operator's definition
    factor = gamma / np.sqrt(variance + epsilon)
    weights = _value(graph, convolution.input[1])
    bias = _value(graph, convolution.input[2]) if len(convolution.input) > 2 else np.zeros_like(mean)
    graph.set_constant(convolution.input[1], (weights * factor.reshape(-1, 1, 1, 1)).astype(np.float32))
    name = graph.set_constant(
        f"{convolution.name}.folded_bias", ((bias - mean) * factor + beta).astype(np.float32)
    )
    del convolution.input[2:]
    convolution.input.append(name)
    convolution.output[0] = node.output[0]
    graph.graph.node.remove(node)


def _value(graph: OnnxGraph, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    value = graph.constant(name)
    assert value is not None  # noqa: S101 - normalisations in evaluation mode have constants only
    return value.astype(np.float64)
