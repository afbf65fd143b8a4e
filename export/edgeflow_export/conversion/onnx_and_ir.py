"""Torch modules to ONNX and OpenVINO IR: uint8 images in, anomaly maps out, nothing random inside."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import openvino as ov
import torch
from onnxscript import optimizer
from torch import nn

from edgeflow.contracts.manifest import Tensor
from edgeflow.errors import ConfigError, DeviceError, ParityError, StorageError
from edgeflow_export.conversion.eight_bit_frame import frame_in_eight_bits

__all__ = [
    "FEATURES",
    "FOREGROUND",
    "INPUT_NAME",
    "MAPS",
    "Ir",
    "Tensors",
    "convert_to_ir",
    "cut_to_first_output",
    "export_onnx",
    "serialise_ir",
]

INPUT_NAME = "images"
FEATURES = "features"
MAPS = "maps"
FOREGROUND = "foreground"
OPSET = 18
_COUNTED = re.compile(r"([A-Z][A-Za-z0-9]*)_\d+$")  # a type and a count, such as Reshape_45221
_RANDOM = {
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "Multinomial",
    "Bernoulli",
    "Dropout",
}


@dataclass(frozen=True, kw_only=True)
class Tensors:
    """Inputs and outputs of a graph, in order."""

    input: Tensor
    outputs: tuple[Tensor, ...]


@dataclass(frozen=True, kw_only=True)
class Ir:
    """An OpenVINO IR as its two files."""

    xml: bytes
    weights: bytes


def export_onnx(model: nn.Module, example: torch.Tensor, outputs: Sequence[str], path: Path) -> Tensors:
    """Write a module's ONNX graph for inputs of one shape.

    Args:
        model: one tensor to one float32 tensor, or a tuple of them.
        example: of the input's shape and type: uint8 images (N, H, W, 3), or float32 features.
        outputs: the outputs' names.

    Raises:
        ParityError: the graph would hold a random operation or a shape that depends on the data.
    """
    if any(module.training for module in model.modules()):
        raise ParityError("a part of the model is in training mode; its graph would not be the trained model")
    images = example.dtype == torch.uint8
    name = INPUT_NAME if images else FEATURES
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecation notes
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = _exported(
            model,
            (example,),
            input_names=[name],
            output_names=list(outputs),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
            optimize=False,
        )
        assert program is not None  # noqa: S101 - only the exporter before dynamo gives none
        # Folding alone: the exporter's own optimisation also searches for patterns, which takes minutes for
        # MVANet, and the back ends do that themselves.
        logging.getLogger("onnxscript").setLevel(logging.ERROR)
        optimizer.fold_constants(program.model, onnx_shape_inference=False)
        optimizer.remove_unused_nodes(program.model)
        try:
            program.save(path, external_data=False)
        except OSError as cause:
            raise _unwritten(path, cause) from cause
        results = model(example)
    graph = onnx.load(path)
    onnx.checker.check_model(graph, full_check=True)
    random = sorted({node.op_type for node in graph.graph.node} & _RANDOM)
    if random:
        raise ParityError(f"the graph holds random operations: {', '.join(random)}; check the extractor")
    # Names of source files and call stacks are of no use on a box, and differ from machine to machine.
    for node in graph.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del graph.graph.metadata_props[:]
    onnx.save(graph, path)
    results = results if isinstance(results, tuple) else (results,)
    return Tensors(
        input=Tensor(name=name, dtype="uint8" if images else "float32", shape=tuple(example.shape)),
        outputs=tuple(
            Tensor(name=name, dtype="float32", shape=tuple(result.shape))
            for name, result in zip(outputs, results, strict=True)
        ),
    )


def cut_to_first_output(source: Path, target: Path) -> None:
    """Write an ONNX graph again without its later outputs and all that only they need."""
    graph = onnx.load(source)
    del graph.graph.output[1:]
    optimizer.remove_unused_nodes(graph)
    onnx.checker.check_model(graph, full_check=True)
    onnx.save(graph, target)


def convert_to_ir(onnx_path: Path) -> ov.Model:
    """The OpenVINO form of an ONNX graph, static in every dimension.

    Raises:
        ParityError: a shape depends on the data.
        DeviceError: OpenVINO lacks an operator.
    """
    try:
        model = ov.convert_model(onnx_path)
    except Exception as cause:  # its front end has errors of its own for every kind of operator
        unknown = re.findall(r"\b(?:[\w.]+\.)?(\w+)-\d+\b", str(cause))
        named = ", ".join(dict.fromkeys(unknown)) or str(cause).strip().splitlines()[-1]
        raise DeviceError(
            f"OpenVINO cannot take this graph: {named}; leave openvino out of export.backends, or choose "
            "an extractor without this operator"
        ) from cause
    if any(port.partial_shape.is_dynamic for port in (*model.inputs, *model.outputs)):
        raise ParityError("the graph has a shape that depends on the data; check the extractor")
    return model


def serialise_ir(model: ov.Model, folder: Path) -> Ir:
    """The two files of an IR, weights as they are (no silent compression to fp16)."""
    path = folder / "graph.xml"
    frame_in_eight_bits(model)
    _number_anew(model)
    try:
        ov.save_model(model, path, compress_to_fp16=False)
        return Ir(xml=path.read_bytes(), weights=path.with_suffix(".bin").read_bytes())
    except (OSError, RuntimeError) as cause:  # OpenVINO says of a full disk what it says of everything
        raise _unwritten(path, cause) from cause


def _exported(*arguments: Any, **options: Any) -> Any:
    """The exporter's program.

    Raises:
        ConfigError: an operation of the model has no form in ONNX.
    """
    try:
        return torch.onnx.export(*arguments, **options)
    except torch.onnx.errors.OnnxExporterError as cause:
        reason = cause.__cause__ or cause
        last = str(reason).strip().splitlines()[-1]
        raise ConfigError(
            f"the model cannot be exported to ONNX: {type(reason).__name__}: {last}; choose another "
            "extractor or layer, or write the operation differently in your function"
        ) from cause


def _unwritten(path: Path, cause: Exception) -> StorageError:
    return StorageError(
        f"{path.parent}: a graph cannot be written there while it is made: {cause}; free some space, or name "
        "another folder for temporary files in TMPDIR; no bundle was written"
    )


def _number_anew(model: ov.Model) -> None:
    """Number unnamed operations by their place: OpenVINO counts all that the process ever made.

    Otherwise an export that takes over a stage would give other bytes than one that goes through it.
    """
    model.set_friendly_name("graph")
    for place, op in enumerate(model.get_ordered_ops()):
        counted = _COUNTED.match(op.get_friendly_name())
        if counted:
            op.set_friendly_name(f"{counted[1]}_{place}")
