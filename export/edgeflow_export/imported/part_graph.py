"""A network from elsewhere as a graph of ours: uint8 images of all views to maps of all views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgeflow.errors import CheckpointError
from edgeflow_export.imported.network_input import NetworkInput
from edgeflow_export.recipe import NetworkSpec

__all__ = ["IMAGES", "MAPS", "Form", "MapShape", "PartForm", "map_shape", "part_graph", "with_batch"]

IMAGES, MAPS = "images", "maps"
_SHAPE_INPUT = {"Reshape": 1, "Expand": 1, "Resize": 3}
"""Operators that read a shape, and at which place."""
Form = Literal["batch", "copies", "part"]
"""All views as one batch; the network as often as views need it; all views as one part."""


@dataclass(frozen=True, kw_only=True)
class MapShape:
    """The result of one run of a network.

    Attributes:
        kind: a map or a score of each image, or one score of the whole part.
        height, width: of each map; 1 and 1 of a score.
    """

    kind: Literal["map", "score", "part score"]
    height: int
    width: int


def map_shape(shape: Sequence[int], images: int, what: str) -> MapShape:
    """Read the shape of an output.

    Args:
        shape: as one run gave it.
        images: of that run.
        what: output, as the error names it.

    Raises:
        CheckpointError: neither a map nor a score of each image.
    """
    # Axes of one: of the batch, of the channel, or of a map that is a score. Behind the images' axis only.
    sizes = list(shape)
    if not sizes or (int(np.prod(sizes)) == 1 and images > 1):
        return MapShape(kind="part score", height=1, width=1)
    if sizes[0] == 1 and images > 1 and len(sizes) > 1 and sizes[1] == images:
        sizes = sizes[1:]
    rest = sizes[1:]
    if sizes[0] == images and all(size == 1 for size in rest):
        return MapShape(kind="score", height=1, width=1)
    if len(rest) == 3 and 1 in (rest[0], rest[2]):
        rest = rest[1:] if rest[0] == 1 else rest[:2]
    if sizes[0] == images and len(rest) == 2:
        return MapShape(kind="map", height=rest[0], width=rest[1])
    shown = ", ".join(map(str, shape))
    raise CheckpointError(
        f"{what} is ({shown}) for {images} image(s): neither a map (N, 1, h, w) nor a score (N) of each; "
        "name another output with --graph-output, or export the network with one channel in its map"
    )


def with_batch(
    model: onnx.ModelProto, network: NetworkInput, images: int, *, scaled: bool = False
) -> onnx.ModelProto:
    """The model with every axis of its input fixed, for so many images.

    Args:
        scaled: the first axis of every constant shape too, in proportion: traced exports write their batch
            there. Whether that gives the same network shows only when it runs.
    """
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    del fixed.graph.value_info[:]  # shapes of the axes as they were
    for value in fixed.graph.input:
        if value.name == network.name:
            kind = value.type.tensor_type.elem_type
            value.CopyFrom(helper.make_tensor_value_info(network.name, kind, network.shape(images)))
    if scaled:
        _scale_shapes(fixed.graph, network.batch or 1, images)
    return fixed


def _scale_shapes(graph: onnx.GraphProto, before: int, after: int) -> None:
    """Constant shapes whose first axis is a multiple of one batch, for another batch."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    constants |= {
        node.output[0]: node.attribute[0].t
        for node in graph.node
        if node.op_type == "Constant" and node.attribute[0].name == "value"
    }
    for place, node in enumerate(graph.node):
        at = _SHAPE_INPUT.get(node.op_type, len(node.input))
        found = constants.get(node.input[at]) if at < len(node.input) else None
        if found is None:
            continue
        shape = numpy_helper.to_array(found).copy()
        if shape.size and shape[0] > 0 and shape[0] % before == 0:
            shape[0] = shape[0] // before * after
            name = f"edgeflow/shape_{place}"
            graph.initializer.append(numpy_helper.from_array(shape, name))
            node.input[at] = name


@dataclass(frozen=True, kw_only=True)
class PartForm:
    """The graph of one part that is to be made around a network.

    Attributes:
        size: of the result of one run.
        kind: with ``copies``, the network stands in the graph as often as views need it; weights are shared.
        alone: images that one copy takes; the last view stands in the places that are left over.
    """

    spec: NetworkSpec
    size: MapShape
    views: int
    kind: Form
    alone: int = 1


def part_graph(model: onnx.ModelProto, network: NetworkInput, form: PartForm) -> onnx.ModelProto:
    """The graph of one part.

    Args:
        model: with one output, and an input fixed for all views, or for one where it is copied.
    """
    spec, size, views, alone = form.spec, form.size, form.views, form.alone
    made = _Builder(network, spec, views)
    read = made.input()
    tensor = model.graph.output[0].name
    if form.kind == "copies":
        maps = []
        for first in range(0, views, alone):
            there = min(alone, views - first)
            some = made.slice(read, first, first + there)
            if there < alone:
                last = made.slice(read, views - 1, views)
                some = made.add("Concat", [some, *[last] * (alone - there)], axis=0)
            found = made.copy(model.graph, f"view{first + 1}/", some, tensor)
            found = made.as_maps(found, (alone, size.height, size.width))
            maps.append(found if there == alone else made.slice(found, 0, there))
        result = made.add("Concat", maps, axis=0) if len(maps) > 1 else maps[0]
    else:
        found = made.copy(model.graph, "", read, tensor)
        if size.kind == "part score":
            one = made.as_maps(found, (1, 1, 1))
            result = made.add("Expand", [one, made.constant("views", np.array([views, 1, 1]))])
        else:
            result = made.as_maps(found, (views, size.height, size.width))
    made.add("Identity", [result], output=MAPS)
    shape = (views, size.height, size.width)
    graph = helper.make_graph(
        made.nodes,
        "graph",
        [helper.make_tensor_value_info(IMAGES, TensorProto.UINT8, (views, network.height, network.width, 3))],
        [helper.make_tensor_value_info(MAPS, TensorProto.FLOAT, shape)],
        [*made.weights.values()],
    )
    whole = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    onnx.checker.check_model(whole)
    return whole


@dataclass
class _Builder:
    """Nodes and weights of the graph so far; names never meet those of the network."""

    network: NetworkInput
    spec: NetworkSpec
    views: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def add(
        self, kind: str, inputs: Sequence[str], *, output: str | None = None, **attributes: object
    ) -> str:
        """Add a node; returns the name of its result."""
        name = f"edgeflow/{kind}_{len(self.nodes)}"
        target = output or name
        self.nodes.append(helper.make_node(kind, list(inputs), [target], name=name, **attributes))
        return target

    def constant(self, name: str, value: npt.NDArray[np.generic]) -> str:
        """Add a constant; returns its name."""
        full = f"edgeflow/{name}_{len(self.weights)}"
        self.weights[full] = numpy_helper.from_array(value, full)
        return full

    def input(self) -> str:
        """The images of all views as the network reads them."""
        network, spec = self.network, self.spec
        value = IMAGES
        if spec.colour == "bgr":
            value = self.add("Gather", [value, self.constant("bgr", np.array([2, 1, 0]))], axis=3)
        if network.dtype != np.uint8:
            scale, shift = (part.astype(np.float32) for part in network.affine(spec))
            value = self.add("Cast", [value], to=TensorProto.FLOAT)
            value = self.add("Mul", [value, self.constant("scale", scale)])
            if shift.any():
                value = self.add("Add", [value, self.constant("shift", shift)])
        if network.layout.endswith("CHW"):
            value = self.add("Transpose", [value], perm=[0, 3, 1, 2])
        if network.dtype == np.float16:
            value = self.add("Cast", [value], to=TensorProto.FLOAT16)
        if "V" in network.layout:
            shape = np.array(network.shape(self.views), np.int64)
            value = self.add("Reshape", [value, self.constant("part", shape)])
        return value

    def slice(self, tensor: str, start: int, end: int) -> str:
        """Some views as a batch."""
        bounds = (self.constant(name, np.array([at])) for name, at in (("start", start), ("end", end)))
        return self.add("Slice", [tensor, *bounds, self.constant("axis", np.array([0]))])

    def copy(self, graph: onnx.GraphProto, prefix: str, read: str, output: str) -> str:
        """Add the network's nodes and weights, reading ``read``; returns the name of its result."""
        names = {self.network.name: read, "": ""}
        for tensor in graph.initializer:
            names[tensor.name] = f"network/{tensor.name}"
            if names[tensor.name] not in self.weights:
                kept = onnx.TensorProto()
                kept.CopyFrom(tensor)
                kept.name = names[tensor.name]
                self.weights[kept.name] = kept
        for place, node in enumerate(graph.node):
            new = onnx.NodeProto()
            new.CopyFrom(node)
            new.name = f"{prefix}network/{node.name or node.op_type}_{place}"
            new.doc_string = ""
            del new.metadata_props[:]
            for index, name in enumerate(node.output):
                names.setdefault(name, f"{prefix}network/{name}")
                new.output[index] = names[name]
            for index, name in enumerate(node.input):
                new.input[index] = names.get(name, f"{prefix}network/{name}")
            self.nodes.append(new)
        return names[output]

    def as_maps(self, tensor: str, shape: tuple[int, ...]) -> str:
        """A result as float32 maps."""
        value = self.add("Cast", [tensor], to=TensorProto.FLOAT)
        return self.add("Reshape", [value, self.constant("maps", np.array(shape, np.int64))])
