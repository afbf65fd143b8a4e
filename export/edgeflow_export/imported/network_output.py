"""The output of a network from elsewhere that is judged: chosen by name, taken before it is normalised."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxscript import ir, optimizer

from edgeflow.errors import CheckpointError
from edgeflow_export.imported.onnx_file import OnnxFile

__all__ = ["ChosenOutput", "choose_output", "cut_to", "folded"]

Constant = npt.NDArray[np.generic]
ANOMALIB_MAPS = ("anomaly_map", "anomaly_maps", "output")
_NUMBERS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE}
_WITHOUT_EFFECT = {"Identity", "Cast"}
_STEPS = (("Add",), ("Div", "Mul"), ("Sub", "Add"))
"""Of anomalib's normalisation, from the clamp back: ``clamp((map - threshold) / range + 0.5)``."""


@dataclass(frozen=True, kw_only=True)
class ChosenOutput:
    """A tensor of the graph.

    Attributes:
        name: of the file's output.
        tensor: the one that is taken: the output itself, or what it was before it was normalised.
        removed: operators between the two, from the output back.
    """

    name: str
    tensor: str
    removed: tuple[str, ...] = ()

    @property
    def described(self) -> str:
        """Name, and what was taken off."""
        return self.name + (f" before {', '.join(self.removed)}" if self.removed else "")


def choose_output(file: OnnxFile, wanted: str | None, *, anomalib: bool) -> ChosenOutput:
    """The output that is judged.

    Args:
        wanted: its name; None where the file has one alone, or is anomalib's.
        anomalib: take it before its normalisation and clamp.

    Raises:
        CheckpointError: several outputs and none named, no such output, or one that holds no numbers.
    """
    outputs = {value.name: value for value in file.model.graph.output}
    listed = "; ".join(shown(value) for value in outputs.values())
    name = wanted
    if name is None and anomalib:
        name = next((known for known in ANOMALIB_MAPS if known in outputs), None)
    if name is None and len(outputs) == 1:
        name = next(iter(outputs))
    if name is None:
        raise CheckpointError(
            f"{file.path}: has {len(outputs)} outputs, and none is named; name the anomaly map or the score "
            f"with --graph-output: {listed}"
        )
    if name not in outputs:
        raise CheckpointError(f"{file.path}: no output {name}; it has: {listed}")
    kind = outputs[name].type.tensor_type.elem_type
    if kind not in _NUMBERS:
        raise CheckpointError(
            f"{file.path}: output {name} is {TensorProto.DataType.Name(kind)}, a decision and no score; name "
            f"the anomaly map or the score: {listed}"
        )
    return _before_normalisation(file, name) if anomalib else ChosenOutput(name=name, tensor=name)


def shown(value: onnx.ValueInfoProto) -> str:
    """Name, type and axes of an input or output."""
    tensor = value.type.tensor_type
    axes = [
        str(dim.dim_value) if dim.HasField("dim_value") else dim.dim_param or "?" for dim in tensor.shape.dim
    ]
    return f"{value.name} {TensorProto.DataType.Name(tensor.elem_type)} ({', '.join(axes)})"


def folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with all that is constant computed, and without what no output needs."""
    program = ir.from_proto(model)
    optimizer.fold_constants(program, onnx_shape_inference=True)
    optimizer.remove_unused_nodes(program)
    return ir.to_proto(program)


def cut_to(model: onnx.ModelProto, tensor: str) -> onnx.ModelProto:
    """The model with one tensor as its only output, of a shape that is not stated, and what that needs."""
    kind = next((v.type.tensor_type.elem_type for v in model.graph.output if v.name == tensor), None)
    if kind is None:
        known = {v.name: v.type.tensor_type.elem_type for v in model.graph.value_info}
        kind = known.get(tensor, TensorProto.FLOAT)
    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    del cut.graph.output[:]
    cut.graph.output.append(helper.make_tensor_value_info(tensor, kind, None))
    program = ir.from_proto(cut)
    optimizer.remove_unused_nodes(program)
    return ir.to_proto(program)


@dataclass
class _Walk:
    """A way from an output back towards the images."""

    graph: onnx.GraphProto
    removed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.producers = {name: node for node in self.graph.node for name in node.output}
        self.weights = {tensor.name: tensor for tensor in self.graph.initializer}

    def constant(self, name: str) -> Constant | None:
        if name in self.weights:
            return np.asarray(numpy_helper.to_array(self.weights[name]))
        node = self.producers.get(name)
        if node is None or node.op_type != "Constant" or node.attribute[0].name != "value":
            return None
        return np.asarray(numpy_helper.to_array(node.attribute[0].t))

    def behind_choices(self, name: str) -> str:
        """The tensor behind conversions, and behind choices that constants have made."""
        while True:
            node = self.producers.get(name)
            if node is None:
                return name
            if node.op_type in _WITHOUT_EFFECT:
                name = node.input[0]
                continue
            condition = self.constant(node.input[0]) if node.op_type == "Where" else None
            if condition is None or not (condition.all() or not condition.any()):
                return name
            self.removed.append(node.op_type)
            name = node.input[1] if condition.all() else node.input[2]

    def step(self, name: str, operators: tuple[str, ...]) -> str | None:
        """The other input of an operator with one positive or added number; None without such a one."""
        node = self.producers.get(name)
        if node is None or node.op_type not in operators:
            return None
        values = [self.constant(source) for source in node.input]
        number = values[1] if values[1] is not None else values[0]
        forward = values[1] is not None or node.op_type in {"Add", "Mul"}
        if number is None or number.size != 1 or not forward:
            return None
        if node.op_type in {"Div", "Mul"} and not float(number.reshape(())) > 0:
            return None
        self.removed.append(node.op_type)
        return self.behind_choices(node.input[0] if values[1] is not None else node.input[1])


def _before_normalisation(file: OnnxFile, name: str) -> ChosenOutput:
    """The map or score before anomalib's normalisation and clamp, where the graph has them.

    Raises:
        CheckpointError: a choice or clamp at the end whose form is not known.
    """
    walk = _Walk(file.model.graph)
    tensor = walk.behind_choices(name)
    node = walk.producers.get(tensor)
    if node is None or node.op_type not in {"Clip", "Where"}:
        return ChosenOutput(name=name, tensor=tensor, removed=tuple(walk.removed))
    found = 0
    if node.op_type == "Clip":
        walk.removed.append("Clip")
        tensor = walk.behind_choices(node.input[0])
        for operators in _STEPS:
            before = walk.step(tensor, operators)
            if before is not None:
                tensor, found = before, found + 1
    if found < len(_STEPS) - 1:
        raise CheckpointError(
            f"{file.path}: {name} ends in {node.op_type}, and not in anomalib's normalisation as it is known "
            "here (of version 2.7); export without it (PostProcessor(enable_normalization=False)), or use "
            "--onnx, which takes the output as it is"
        )
    return ChosenOutput(name=name, tensor=tensor, removed=tuple(walk.removed))
