"""The convolutions of a graph that INT8 can take, what they belong to, and where their input is rounded."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx

from edgeflow_export.conversion.int8.onnx_graph import OnnxGraph

__all__ = ["EXTRACTOR", "HEAD", "Edge", "Layer", "find_layers"]

EXTRACTOR, HEAD = "", "foreground head"
_FLOW_BLOCK = re.compile(r"(?:flow\.)?blocks\.(\d+)\.")
_MEANS = {"ReduceMean", "GlobalAveragePool"}
_ACTIVATIONS = {"Relu", "Clip", "HardSwish"}
_GATES = {"Sigmoid", "HardSigmoid"}
_MEMORY_VIEW = re.compile(r"flow\.views\.(\d+)\.")


@dataclass(frozen=True, kw_only=True)
class Edge:
    """One input of a node, which will be given in 8 bits."""

    node: str
    port: int
    tensor: str


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A convolution with constant weights.

    Attributes:
        place: among all convolutions of the graph.
        owner: '' of the extractor's, else the flow's block, the view's patch memory or the foreground head.
        edge: where its input becomes 8 bits: its own, or that of the padding before it.
        squeezed: inputs of a squeeze-and-excitation behind it, which read its activation in 8 bits too.
        reads_image: no convolution lies between the image and it.
    """

    name: str
    place: int
    owner: str
    edge: Edge
    reads_image: bool
    squeezed: tuple[Edge, ...] = ()

    @property
    def edges(self) -> tuple[Edge, ...]:
        """All inputs that become 8 bits with it."""
        return (self.edge, *self.squeezed)

    @property
    def in_flow(self) -> bool:
        """True if it belongs to a block of the flow, or to a patch memory in its place."""
        return self.owner not in (EXTRACTOR, HEAD)


def find_layers(graph: OnnxGraph) -> tuple[Layer, ...]:
    """All convolutions that INT8 can take, in order of execution.

    They have constant weights and computed inputs. The sum of the likelihood, where it is written as a
    convolution, is none: it adds up squares, whose range 8 bits do not hold. Nor is a permutation of the
    flow's channels: what it moves goes into the likelihood itself, where 8 bits would clip a defect.
    """
    found = []
    for place, node in enumerate(graph.convolutions()):
        owner = _owner(node.input[1])
        weights = graph.constant(node.input[1])
        if owner is None or weights is None or graph.constant(node.input[0]) is not None:
            continue
        if owner not in (EXTRACTOR, HEAD) and _only_moves(weights):
            continue
        found.append(
            Layer(
                name=node.name,
                place=place,
                owner=owner,
                edge=_edge(graph, node),
                reads_image=_reads_image(graph, node),
                squeezed=_squeezed(graph, node) if owner == EXTRACTOR else (),
            )
        )
    return tuple(found)


def _only_moves(weights: npt.NDArray[np.generic]) -> bool:
    """True if every output is one input."""
    rows = weights.reshape(len(weights), -1)
    return bool(((rows == 0) | (rows == 1)).all() and ((rows != 0).sum(axis=1) <= 1).all())


def _owner(weights: str) -> str | None:
    """The part of the model that weights of this name belong to; None for what stays in float."""
    block = _FLOW_BLOCK.match(weights)
    if block:
        return f"flow block {int(block[1]) + 1}"
    view = _MEMORY_VIEW.match(weights)
    if view:
        return f"patch memory of view {int(view[1]) + 1}"
    if weights.startswith("flow."):
        return None
    return HEAD if weights.startswith("mask_head.") else EXTRACTOR


def _edge(graph: OnnxGraph, convolution: onnx.NodeProto) -> Edge:
    """Before the padding, where only convolutions read what it pads: it then moves a quarter of the bytes."""
    node, port = convolution, 0
    before = graph.producers.get(node.input[0])
    while before is not None and before.op_type == "Pad" and _feeds_convolutions(graph, before.output[0]):
        node = before
        before = graph.producers.get(node.input[0])
    return Edge(node=node.name, port=port, tensor=node.input[port])


def _feeds_convolutions(graph: OnnxGraph, tensor: str) -> bool:
    readers = graph.consumers[tensor]
    return not graph.is_output(tensor) and all(
        reader.op_type == "Conv" and list(reader.input).index(tensor) == 0 for reader in readers
    )


def _squeezed(graph: OnnxGraph, convolution: onnx.NodeProto) -> tuple[Edge, ...]:
    """The inputs of a squeeze-and-excitation: of its mean over the image, and of the product with its gates.

    It reads all of a wide activation twice. In 8 bits that is a quarter of the bytes.
    """
    tensor = _activation(graph, convolution.output[0])
    readers = graph.consumers[tensor]
    kinds = {reader.op_type for reader in readers}
    if graph.is_output(tensor) or "Mul" not in kinds or not kinds & _MEANS or kinds - _MEANS - {"Mul"}:
        return ()
    return tuple(
        Edge(node=reader.name, port=list(reader.input).index(tensor), tensor=tensor) for reader in readers
    )


def _activation(graph: OnnxGraph, tensor: str) -> str:
    """The name of a convolution's output behind its activation; of the output itself where none is known."""
    readers = graph.consumers[tensor]
    if len(readers) == 1 and readers[0].op_type in _ACTIVATIONS:
        return str(readers[0].output[0])
    gates = [reader.output[0] for reader in readers if reader.op_type in _GATES]
    products = [reader for reader in readers if reader.op_type == "Mul" and set(reader.input) & set(gates)]
    return str(products[0].output[0]) if len(readers) == 2 and products else tensor


def _reads_image(graph: OnnxGraph, convolution: onnx.NodeProto) -> bool:
    begun, seen = [convolution.input[0]], set()
    while begun:
        node = graph.producers.get(begun.pop())
        if node is None or node.name in seen:
            continue
        if node.op_type == "Conv":
            return False
        seen.add(node.name)
        begun += node.input
    return True
