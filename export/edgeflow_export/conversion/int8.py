"""Graphs to INT8 with normal parts as calibration: convolutions only, the same on every processor.

Weights use half of the 8-bit range. Processors without VNNI add pairs of products in 16 bits, which
overflow with full-range weights: the same graph would then decide differently from box to box.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import re
import sys
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import nncf
import numpy as np
import onnx
import openvino as ov
from nncf.quantization.advanced_parameters import OverflowFix
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from edgeflow.backends.openvino.core import openvino_core
from edgeflow.temporary_folder import temporary_folder
from edgeflow_export.data.dataset import Images

__all__ = [
    "CONVOLUTIONS",
    "NNCF_LOGGERS",
    "Group",
    "convolutions_of_ir",
    "groups_of_ir",
    "groups_of_onnx",
    "has_bf16",
    "quantize_network",
    "quantize_onnx",
    "quiet",
]

EXTRACTOR_GROUPS = 6
CONVOLUTIONS = {"Convolution", "GroupConvolution"}
NNCF_LOGGERS = ("nncf", "torch.utils.cpp_extension")
"""NNCF's own, and that of a part of torch which it asks for a GPU's compiler."""
_FLOW_BLOCK = re.compile(r"flow\.blocks\.(\d+)\.")


@dataclass(frozen=True, kw_only=True)
class Group:
    """Convolutions that go to INT8 or stay in float together, by their place among the graph's."""

    name: str
    members: tuple[int, ...]


def groups_of_onnx(path: Path) -> tuple[Group, ...]:
    """Every convolution of an ONNX graph, in groups from the image to the maps."""
    return _groups([owner for _, owner in _owners(path)])


def groups_of_ir(model: ov.Model, path: Path) -> tuple[Group, ...]:
    """As :func:`groups_of_onnx`, for the IR made from that graph; its order is its own."""
    owners = dict(_owners(path))
    # Conversion renames convolutions whose normalisation it folds: those of the extractor.
    names = [name.partition("/")[0] for name in convolutions_of_ir(model)]
    return _groups([owners.get(name, "") for name in names])


def _owners(path: Path) -> list[tuple[str, str]]:
    """Every convolution of an ONNX graph with what it belongs to; '' is the extractor."""
    return [(node.name, _owner(node.input[1])) for node in _convolutions_of_onnx(path)]


def _owner(weight: str) -> str:
    block = _FLOW_BLOCK.match(weight)
    if block:
        return f"flow block {int(block[1]) + 1}"
    return "foreground head" if weight.startswith("mask_head.") else ""


def _groups(owners: Sequence[str]) -> tuple[Group, ...]:
    extractor = [index for index, owner in enumerate(owners) if not owner]
    chunks = min(EXTRACTOR_GROUPS, len(extractor))
    groups = [
        Group(
            name=f"extractor part {number + 1} of {chunks}",
            members=tuple(
                extractor[len(extractor) * number // chunks : len(extractor) * (number + 1) // chunks]
            ),
        )
        for number in range(chunks)
    ]
    for name in dict.fromkeys(owner for owner in owners if owner):
        members = tuple(index for index, owner in enumerate(owners) if owner == name)
        groups.append(Group(name=name, members=members))
    return tuple(groups)


@functools.cache
def has_bf16() -> bool:
    """True if this processor computes in bf16; elsewhere it is only imitated.

    Tried on a small convolution: the library tells of the processor, not of limits set for itself.
    """
    core = openvino_core()
    if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return False
    image = ov.opset13.parameter([1, 16, 8, 8], np.float32)
    weights = ov.opset13.constant(np.ones((16, 16, 3, 3), np.float32))
    found = ov.opset13.convolution(image, weights, [1, 1], [0, 0], [0, 0], [1, 1])
    try:
        core.compile_model(ov.Model([found], [image]), "CPU", {"INFERENCE_PRECISION_HINT": "bf16"})
    except RuntimeError:
        return False
    return True


def quantize_network(model: ov.Model, samples: Sequence[Images], *, products: bool) -> ov.Model:
    """INT8 form of a network whose output is not a likelihood, such as MVANet.

    Args:
        samples: images as the graph takes them.
        products: matrix products too, with what NNCF quantizes around them; else convolutions alone.
    """
    kept = {op.get_type_name() for op in model.get_ordered_ops()} - CONVOLUTIONS
    with quiet(*NNCF_LOGGERS), contextlib.redirect_stdout(sys.stderr):
        return nncf.quantize(
            model,
            nncf.Dataset(list(samples)),
            subset_size=len(samples),
            preset=nncf.QuantizationPreset.MIXED,
            model_type=nncf.ModelType.TRANSFORMER if products else None,
            ignored_scope=None if products else nncf.IgnoredScope(types=sorted(kept), validate=False),
            advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=OverflowFix.ENABLE),
        )


def quantize_onnx(source: Path, target: Path, parts: Iterable[Images], kept: Collection[int] = ()) -> None:
    """INT8 form of an ONNX graph: static QDQ, per channel, convolutions only; as :func:`quantize_ir`."""
    names = [node.name for node in _convolutions_of_onnx(source)]
    # ONNX Runtime's quantizer advises through the root logger.
    with temporary_folder() as folder, quiet(None):
        prepared = folder / "prepared.onnx"
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            target,
            _Reader(onnx.load(source).graph.input[0].name, iter(parts)),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=[names[index] for index in sorted(kept)],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )


def convolutions_of_ir(model: ov.Model) -> list[str]:
    """Return the names of all convolutions of an IR graph, in order of execution."""
    return [op.get_friendly_name() for op in model.get_ordered_ops() if op.get_type_name() in CONVOLUTIONS]


def _convolutions_of_onnx(path: Path) -> list[onnx.NodeProto]:
    return [node for node in onnx.load(path).graph.node if node.op_type == "Conv"]


@contextlib.contextmanager
def quiet(*names: str | None) -> Iterator[None]:
    """Without libraries' advice to their developers, in warnings and in the loggers of these names."""
    levels = [(logger, logger.level) for logger in map(logging.getLogger, names)]
    for logger, _ in levels:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in levels:
            logger.setLevel(level)


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name: str, parts: Iterator[Images]) -> None:
        self._name, self._parts = name, parts

    def get_next(self) -> dict[str, Images] | None:
        images = next(self._parts, None)
        return None if images is None else {self._name: images}
