"""A network in an OpenVINO IR: its input, the chosen output, runs by OpenVINO, and the graph of a part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import opset13 as op

from edgeflow.backends.openvino.core import openvino_core
from edgeflow.contracts.scoring import FloatArray
from edgeflow.errors import CheckpointError
from edgeflow_export.imported.ir_file import IrFile
from edgeflow_export.imported.ir_folded_factor import unfold_factors
from edgeflow_export.imported.network_input import InputPort, NetworkInput, read_input
from edgeflow_export.imported.network_output import ChosenOutput, OutputPort, choose_output
from edgeflow_export.imported.normalisation import Constant
from edgeflow_export.imported.part_graph import IMAGES, MAPS, PartForm
from edgeflow_export.recipe import ImportRecipe, NetworkSpec

__all__ = ["IrNetwork", "load_ir_network"]

_NUMBERS = {ov.Type.f32, ov.Type.f16, ov.Type.bf16, ov.Type.f64}
_TYPES: dict[ov.Type, np.dtype[np.generic]] = {
    ov.Type.f32: np.dtype(np.float32),
    ov.Type.f16: np.dtype(np.float16),
    ov.Type.u8: np.dtype(np.uint8),
}
_NAMES = {
    "Clamp": "Clip",
    "Select": "Where",
    "Divide": "Div",
    "Multiply": "Mul",
    "Subtract": "Sub",
    "Convert": "Cast",
}
"""ONNX's names of operations, where they differ."""
_EXACT = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
RUNS_ON = "openvino alone, in float: the network came as an OpenVINO graph"


@dataclass(frozen=True, kw_only=True)
class IrNetwork:
    """The graph of a network, with the chosen output alone."""

    file: IrFile
    input: NetworkInput
    output: ChosenOutput[ov.Output]
    cut: ov.Model

    def run(self, tensor: npt.NDArray[np.generic]) -> FloatArray:
        """The output of the network as the file holds it.

        Raises:
            CheckpointError: it does not run on these images.
        """
        try:
            return _result(self._compiled, tensor)
        except RuntimeError as cause:
            raise CheckpointError(
                f"{self.file.path}: the network does not run on {len(tensor)} image(s) of "
                f"{self.input.height}x{self.input.width}: {_last_line(cause)}"
            ) from cause

    def fixed(self, images: int) -> ov.Model:
        """The network for so many images, with every axis fixed.

        Raises:
            CheckpointError: its own shapes are for another number of images.
        """
        model = self.cut.clone()
        try:
            model.reshape(list(self.input.shape(images)))
            model.validate_nodes_and_infer_types()
        except RuntimeError as cause:
            raise CheckpointError(
                f"{self.file.path}: the network does not take {images} image(s): {_last_line(cause)}"
            ) from cause
        return model

    @property
    def batches(self) -> Sequence[Callable[[int], ov.Model]]:
        """Give the network for so many images, in forms that may give what it gives one by one."""
        return (self.fixed,)

    def result(self, fixed: ov.Model, tensor: npt.NDArray[np.generic]) -> FloatArray:
        """The output of a network with fixed axes."""
        return _result(openvino_core().compile_model(fixed, "CPU", _EXACT), tensor)

    def part(self, fixed: ov.Model, form: PartForm) -> ov.Model:
        """The graph of one part around a network with fixed axes.

        Raises:
            CheckpointError: a shape that depends on the image.
        """
        images = op.parameter([form.views, self.input.height, self.input.width, 3], np.uint8, IMAGES)
        images.output(0).get_tensor().set_names({IMAGES})
        read = _as_input(images.output(0), self.input, form)
        result = op.result(_maps(fixed, read, form))
        result.output(0).get_tensor().set_names({MAPS})
        made = ov.Model([result], [images], "graph")
        if made.outputs[0].partial_shape.is_dynamic:
            raise CheckpointError(
                f"{self.file.path}: the size of its result depends on the image; boxes refuse such graphs: "
                "export it for a fixed size"
            )
        return made

    @property
    def provenance(self) -> dict[str, str]:
        """The origin as the file states it, and limits that follow from its format."""
        file = self.file
        return {
            "network_file": f"{file.path.name} with {file.path.stem}.bin, sha256 {file.sha256}",
            "network_producer": file.producer,
            "network_format": f"OpenVINO IR {file.version}",
            "network_runs_on": RUNS_ON,
        }

    @cached_property
    def _compiled(self) -> ov.CompiledModel:
        try:
            return openvino_core().compile_model(self.cut, "CPU", _EXACT)
        except RuntimeError as cause:
            raise CheckpointError(
                f"{self.file.path}: OpenVINO cannot compile it: {_last_line(cause)}"
            ) from cause


def load_ir_network(file: IrFile, recipe: ImportRecipe) -> IrNetwork:
    """Look at a network; nothing of it is run.

    Raises:
        CheckpointError: see ``read_input``, ``choose_output``.
    """
    spec = recipe.network
    network = read_input(_input_port(file), spec, recipe.size)
    if spec.origin == "anomalib":
        unfold_factors(file.model)
    ports = [_output_port(port) for port in file.model.outputs]
    output = choose_output(file.path, ports, _Reader(), spec.output, anomalib=spec.origin == "anomalib")
    if not _reads_images(output.value):
        raise CheckpointError(
            f"{file.path}: output {output.name} does not depend on the images; name another one"
        )
    cut = ov.Model([op.result(output.value)], file.model.get_parameters(), "network")
    return IrNetwork(file=file, input=network, output=output, cut=cut)


class _Reader:
    """An OpenVINO graph by the outputs of its operations."""

    def operator(self, value: ov.Output) -> str:
        kind = value.get_node().get_type_name()
        return "" if kind in {"Parameter", "Constant"} else _NAMES.get(kind, kind)

    def sources(self, value: ov.Output) -> Sequence[ov.Output]:
        return list(value.get_node().input_values())

    def constant(self, value: ov.Output) -> Constant | None:
        node = value.get_node()
        if node.get_type_name() == "Convert":  # of a number in half precision
            node = node.input_value(0).get_node()
        return np.asarray(node.data) if node.get_type_name() == "Constant" else None


def _input_port(file: IrFile) -> InputPort:
    """The input of images.

    Raises:
        CheckpointError: not exactly one.
    """
    inputs = file.model.inputs
    if len(inputs) != 1:
        named = ", ".join(_name(port) for port in inputs) or "none"
        raise CheckpointError(f"{file.path}: a network reads one tensor of images; this one reads: {named}")
    (port,) = inputs
    kind = port.get_element_type()
    return InputPort(
        path=file.path,
        name=_name(port),
        kind=kind.get_type_name(),
        dtype=_TYPES.get(kind),
        axes=tuple(None if axis.is_dynamic else axis.get_length() for axis in port.partial_shape),
        labels=_labels(port),
    )


def _output_port(port: ov.Output) -> OutputPort[ov.Output]:
    kind, name = port.get_element_type(), _name(port)
    return OutputPort(
        name=name,
        value=port.get_node().input_value(0),
        kind=kind.get_type_name(),
        numbers=kind in _NUMBERS,
        shown=f"{name} {kind.get_type_name()} ({', '.join(_labels(port))})",
    )


def _name(port: ov.Output) -> str:
    names = sorted(map(str, port.get_names()))
    return names[0] if names else str(port.get_node().get_friendly_name())


def _labels(port: ov.Output) -> tuple[str, ...]:
    return tuple("?" if axis.is_dynamic else str(axis.get_length()) for axis in port.partial_shape)


def _reads_images(value: ov.Output) -> bool:
    waiting, seen = [value.get_node()], set()
    while waiting:
        node = waiting.pop()
        if node.get_type_name() == "Parameter":
            return True
        if node.get_friendly_name() not in seen:
            seen.add(node.get_friendly_name())
            waiting += [source.get_node() for source in node.input_values()]
    return False


def _as_input(images: ov.Output, network: NetworkInput, form: PartForm) -> ov.Output:
    """The images of all views as the network reads them."""
    spec: NetworkSpec = form.spec
    value = images
    if network.dtype != np.uint8:
        scale, shift = (part.astype(np.float32) for part in network.affine(spec))
        value = op.multiply(op.convert(value, "f32"), op.constant(scale)).output(0)
        if shift.any():
            value = op.add(value, op.constant(shift)).output(0)
    if network.layout.endswith("CHW"):
        value = op.transpose(value, op.constant(np.array([0, 3, 1, 2]))).output(0)
    if network.dtype == np.float16:
        value = op.convert(value, "f16").output(0)
    if "V" in network.layout:
        value = _reshaped(value, network.shape(form.views))
    return value


def _maps(fixed: ov.Model, read: ov.Output, form: PartForm) -> ov.Output:
    """The network's results for all views as float32 maps."""
    size, views, alone = form.size, form.views, form.alone
    shape = (size.height, size.width)
    if form.kind != "copies":
        found = op.convert(_copy(fixed, read), "f32").output(0)
        if size.kind != "part score":
            return _reshaped(found, (views, *shape))
        whole = op.constant(np.array([views, 1, 1]))
        return op.broadcast(_reshaped(found, (1, 1, 1)), whole).output(0)
    maps = []
    for first in range(0, views, alone):
        there = min(alone, views - first)
        some = _views(read, first, first + there)
        if there < alone:
            some = op.concat([some, *[_views(read, views - 1, views)] * (alone - there)], 0).output(0)
        found = _reshaped(op.convert(_copy(fixed.clone(), some), "f32").output(0), (alone, *shape))
        maps.append(found if there == alone else _views(found, 0, there))
    return op.concat(maps, 0).output(0) if len(maps) > 1 else maps[0]


def _copy(network: ov.Model, read: ov.Output) -> ov.Output:
    """Let a network read ``read``; it is of no use afterwards."""
    for target in list(network.inputs[0].get_target_inputs()):
        target.replace_source_output(read)
    return network.outputs[0].get_node().input_value(0)


def _views(value: ov.Output, start: int, end: int) -> ov.Output:
    bounds = (op.constant(np.array([at])) for at in (start, end, 1, 0))
    return op.slice(value, *bounds).output(0)


def _reshaped(value: ov.Output, shape: Sequence[int]) -> ov.Output:
    return op.reshape(value, op.constant(np.array(shape)), special_zero=False).output(0)


def _result(compiled: ov.CompiledModel, tensor: npt.NDArray[np.generic]) -> FloatArray:
    return np.array(compiled([tensor])[0], np.float32)


def _last_line(cause: BaseException) -> str:
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return lines[-1] if lines else type(cause).__name__
