"""Graphs to INT8 with normal parts as calibration: convolutions only, the same on every processor.

Weights use half of the 8-bit range. Processors without VNNI add pairs of products in 16 bits, which
overflow with full-range weights: the same graph would then decide differently from box to box.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import nncf
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

from edgeflow_export.datasets import Images
from edgeflow_export.graphs import INPUT_NAME

__all__ = ["LEVELS", "float_convolutions", "quantize_ir", "quantize_onnx"]

LEVELS = ("all convolutions", "the extractor's convolutions", "the extractor's inner convolutions")
"""What is quantized, most first: the next is tried where verdicts change too much."""

_OUTER = (3, 2)  # convolutions at the extractor's beginning and end that the last level leaves in float

_CONVOLUTIONS = {"Convolution", "GroupConvolution"}


def float_convolutions(level: str, count: int, flow: int) -> range | list[int]:
    """Which of a graph's convolutions stay in float, by their place in it.

    Args:
        count: convolutions of the graph; its last ``flow`` are the flow's.
    """
    extractor = count - flow
    if level == LEVELS[0]:
        return range(0)
    if level == LEVELS[1]:
        return range(extractor, count)
    return [*range(min(_OUTER[0], extractor)), *range(max(0, extractor - _OUTER[1]), count)]


def quantize_ir(model: ov.Model, parts: Iterable[Images], level: str, flow: int) -> ov.Model:
    """INT8 form of an IR by NNCF; everything but convolutions stays in float.

    Element-wise arithmetic of the flow in INT8 costs a factor of 10 in accuracy and saves no time.
    """
    others = sorted({op.get_type_name() for op in model.get_ordered_ops()} - _CONVOLUTIONS)
    convolutions = [
        op.get_friendly_name() for op in model.get_ordered_ops() if op.get_type_name() in _CONVOLUTIONS
    ]
    kept = [convolutions[index] for index in float_convolutions(level, len(convolutions), flow)]
    samples = list(parts)
    # NNCF draws its progress bars on standard output, which belongs to the command's own result.
    with _quiet("nncf"), contextlib.redirect_stdout(sys.stderr):
        return nncf.quantize(
            model,
            nncf.Dataset(samples),
            subset_size=len(samples),
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(types=others, names=kept, validate=False),
            advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=OverflowFix.ENABLE),
        )


def quantize_onnx(source: Path, target: Path, parts: Iterable[Images], level: str, flow: int) -> None:
    """INT8 form of an ONNX graph: static QDQ, per channel, convolutions only."""
    # ONNX Runtime's quantizer advises through the root logger.
    with tempfile.TemporaryDirectory() as folder, _quiet(None):
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        convolutions = [node.name for node in onnx.load(prepared).graph.node if node.op_type == "Conv"]
        quantize_static(
            prepared,
            target,
            _Reader(iter(parts)),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=[
                convolutions[index] for index in float_convolutions(level, len(convolutions), flow)
            ],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )


@contextlib.contextmanager
def _quiet(logger_name: str | None) -> Iterator[None]:
    """Without a library's advice to its developers, in warnings and in its logger."""
    logger = logging.getLogger(logger_name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, parts: Iterator[Images]) -> None:
        self._parts = parts

    def get_next(self) -> dict[str, Images] | None:
        images = next(self._parts, None)
        return None if images is None else {INPUT_NAME: images}
