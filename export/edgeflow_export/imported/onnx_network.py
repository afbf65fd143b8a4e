"""A network in an ONNX file: its input, the chosen output, runs by ONNX Runtime, and the graph of a part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxscript import ir, optimizer

from edgeflow.backends.inspect_onnx import refused_in
from edgeflow.backends.onnxruntime.runner import open_session
from edgeflow.backends.runner import DEFAULT_PLACEMENT
from edgeflow.contracts.scoring import FloatArray
from edgeflow.errors import CheckpointError
from edgeflow_export.imported.network_input import InputPort, NetworkInput, read_input
from edgeflow_export.imported.network_output import ChosenOutput, OutputPort, choose_output
from edgeflow_export.imported.normalisation import Constant
from edgeflow_export.imported.onnx_file import OnnxFile
from edgeflow_export.imported.part_graph import PartForm, part_graph, with_batch
from edgeflow_export.recipe import ImportRecipe

__all__ = ["OnnxNetwork", "load_onnx_network"]

_NUMBERS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE}
_TYPES: dict[int, np.dtype[np.generic]] = {
    TensorProto.FLOAT: np.dtype(np.float32),
    TensorProto.FLOAT16: np.dtype(np.float16),
    TensorProto.UINT8: np.dtype(np.uint8),
}


@dataclass(frozen=True, kw_only=True)
class OnnxNetwork:
    """The graph of a network, with the chosen output alone.

    Attributes:
        cut: the file's graph with the chosen output alone.
    """

    file: OnnxFile
    input: NetworkInput
    output: ChosenOutput[str]
    cut: onnx.ModelProto

    def run(self, tensor: npt.NDArray[np.generic]) -> FloatArray:
        """The output of the network as the file holds it.

        Raises:
            CheckpointError: it does not run on these images.
        """
        try:
            return self._result(self._session, tensor)
        except Exception as cause:  # ONNX Runtime has no common base class for its errors
            raise CheckpointError(
                f"{self.file.path}: the network does not run on {len(tensor)} image(s) of "
                f"{self.input.height}x{self.input.width}: {_last_line(cause)}"
            ) from cause

    def fixed(self, images: int) -> onnx.ModelProto:
        """The network for so many images, with every axis fixed."""
        return folded(with_batch(self.cut, self.input, images))

    @property
    def batches(self) -> Sequence[Callable[[int], onnx.ModelProto]]:
        """Give the network for so many images, in forms that may give what it gives one by one."""
        return (self.fixed, lambda images: folded(with_batch(self.cut, self.input, images, scaled=True)))

    def result(self, fixed: onnx.ModelProto, tensor: npt.NDArray[np.generic]) -> FloatArray:
        """The output of a network with fixed axes."""
        return self._result(_session(fixed, self.file), tensor)

    def part(self, fixed: onnx.ModelProto, form: PartForm) -> onnx.ModelProto:
        """The graph of one part around a network with fixed axes.

        Raises:
            CheckpointError: an operator that no box runs.
        """
        made = part_graph(fixed, self.input, form)
        _require_allowed(made, self.file)
        return made

    @property
    def provenance(self) -> dict[str, str]:
        """The origin as the file states it."""
        file = self.file
        return {
            "network_file": f"{file.path.name}, sha256 {file.sha256}",
            "network_producer": file.producer,
            "network_opset": str(file.opset),
        }

    def _result(self, session: ort.InferenceSession, tensor: npt.NDArray[np.generic]) -> FloatArray:
        return np.asarray(session.run(None, {self.input.name: tensor})[0], np.float32)

    @cached_property
    def _session(self) -> ort.InferenceSession:
        return _session(self.cut, self.file)


def load_onnx_network(file: OnnxFile, recipe: ImportRecipe) -> OnnxNetwork:
    """Look at a network; nothing of it is run.

    Raises:
        CheckpointError: see ``read_input``, ``choose_output``; or no box runs an operator.
    """
    spec = recipe.network
    network = read_input(_input_port(file), spec, recipe.size)
    # Constants are folded to see the end of the graph; of the graph itself only once its axes are fixed.
    try:
        end = replace(file, model=folded(file.model))
    except Exception as cause:  # the library has errors of its own for every kind of damage
        reason = _last_line(cause.__cause__ or cause)
        raise CheckpointError(f"{file.path}: not a valid ONNX graph: {reason}; export it again") from cause
    ports = [_output_port(value) for value in end.model.graph.output]
    reader = _Reader(end.model.graph)
    output = choose_output(file.path, ports, reader, spec.output, anomalib=spec.origin == "anomalib")
    cut = cut_to(file.model, output.value)
    if network.name not in {name for node in cut.graph.node for name in node.input}:
        raise CheckpointError(
            f"{file.path}: output {output.name} does not depend on the images; name another one"
        )
    _require_allowed(folded(with_batch(cut, network, network.views or network.batch or 1)), file)
    return OnnxNetwork(file=file, input=network, output=output, cut=cut)


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


class _Reader:
    """An ONNX graph by the names of its tensors."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._producers = {name: node for node in graph.node for name in node.output}
        self._weights = {tensor.name: tensor for tensor in graph.initializer}

    def operator(self, value: str) -> str:
        node = self._producers.get(value)
        return "" if node is None else node.op_type

    def sources(self, value: str) -> Sequence[str]:
        node = self._producers.get(value)
        return () if node is None else list(node.input)

    def constant(self, value: str) -> Constant | None:
        if value in self._weights:
            return np.asarray(numpy_helper.to_array(self._weights[value]))
        node = self._producers.get(value)
        if node is None or node.op_type != "Constant" or node.attribute[0].name != "value":
            return None
        return np.asarray(numpy_helper.to_array(node.attribute[0].t))


def _input_port(file: OnnxFile) -> InputPort:
    """The input of images.

    Raises:
        CheckpointError: not exactly one.
    """
    weights = {tensor.name for tensor in file.model.graph.initializer}
    inputs = [value for value in file.model.graph.input if value.name not in weights]
    if len(inputs) != 1:
        named = ", ".join(value.name for value in inputs) or "none"
        raise CheckpointError(f"{file.path}: a network reads one tensor of images; this one reads: {named}")
    (value,) = inputs
    tensor = value.type.tensor_type
    return InputPort(
        path=file.path,
        name=value.name,
        kind=TensorProto.DataType.Name(tensor.elem_type),
        dtype=_TYPES.get(tensor.elem_type),
        axes=tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim),
        labels=_labels(value),
    )


def _output_port(value: onnx.ValueInfoProto) -> OutputPort[str]:
    kind = TensorProto.DataType.Name(value.type.tensor_type.elem_type)
    return OutputPort(
        name=value.name,
        value=value.name,
        kind=kind,
        numbers=value.type.tensor_type.elem_type in _NUMBERS,
        shown=f"{value.name} {kind} ({', '.join(_labels(value))})",
    )


def _labels(value: onnx.ValueInfoProto) -> tuple[str, ...]:
    dims = value.type.tensor_type.shape.dim
    return tuple(str(dim.dim_value) if dim.HasField("dim_value") else dim.dim_param or "?" for dim in dims)


def _require_allowed(model: onnx.ModelProto, file: OnnxFile) -> None:
    reason = refused_in(model.SerializeToString())
    if reason is not None:
        raise CheckpointError(
            f"{file.path}: {reason}; boxes refuse such graphs: change the network, or export it without this"
        )


def _session(model: onnx.ModelProto, file: OnnxFile) -> ort.InferenceSession:
    try:
        return open_session(model.SerializeToString(), DEFAULT_PLACEMENT)
    except Exception as cause:  # ONNX Runtime has no common base class for its errors
        raise CheckpointError(f"{file.path}: ONNX Runtime cannot load it: {_last_line(cause)}") from cause


def _last_line(cause: BaseException) -> str:
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return lines[-1] if lines else type(cause).__name__
