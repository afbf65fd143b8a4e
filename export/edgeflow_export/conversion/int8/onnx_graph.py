"""An ONNX graph that is looked at and changed in place: constants, producers, consumers, convolutions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

__all__ = ["FloatWeights", "OnnxGraph", "attribute"]

FloatWeights = npt.NDArray[np.float32]


class OnnxGraph:
    """Look-ups in a graph; they hold until nodes are added, after which :meth:`index` is due.

    Args:
        model: changed in place by those who change the graph.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.graph = model.graph
        self.index()

    def index(self) -> None:
        """Look all nodes and constants up anew."""
        self.producers = {name: node for node in self.graph.node for name in node.output}
        self.consumers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in self.graph.node:
            for name in dict.fromkeys(node.input):
                self.consumers[name].append(node)
        self._initializers = {tensor.name: tensor for tensor in self.graph.initializer}

    def convolutions(self) -> list[onnx.NodeProto]:
        """All convolutions, in order of execution."""
        return [node for node in self.graph.node if node.op_type == "Conv"]

    def is_output(self, name: str) -> bool:
        """True if a tensor is one of the graph's outputs."""
        return any(output.name == name for output in self.graph.output)

    def constant(self, name: str) -> npt.NDArray[np.generic] | None:
        """The value of a tensor; None where it is computed."""
        if name in self._initializers:
            return np.asarray(numpy_helper.to_array(self._initializers[name]))
        node = self.producers.get(name)
        if node is not None and node.op_type == "Constant" and node.attribute[0].name == "value":
            return np.asarray(numpy_helper.to_array(node.attribute[0].t))
        return None

    def set_constant(self, name: str, value: npt.NDArray[np.generic]) -> str:
        """Add a constant, or give one another value; returns its name."""
        tensor = numpy_helper.from_array(np.ascontiguousarray(value), name)
        if name in self._initializers:
            self._initializers[name].CopyFrom(tensor)
        else:
            self.graph.initializer.append(tensor)
            self._initializers[name] = self.graph.initializer[-1]
        return name

    def set_outputs(self, names: Sequence[str]) -> None:
        """Give the graph float32 outputs of unknown shape instead of its own."""
        del self.graph.output[:]
        self.graph.output.extend(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names
        )


def attribute(node: onnx.NodeProto, name: str, default: object) -> object:
    """An attribute of a node; the default where it has none."""
    for found in node.attribute:
        if found.name == name:
            return onnx.helper.get_attribute_value(found)
    return default
