"""Multiplications of an OpenVINO graph, and the peak of this machine through OpenVINO."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable

import numpy as np
import openvino as ov
from openvino import opset13 as op

from edgeflow.backends.openvino.core import openvino_core

__all__ = ["macs_of", "macs_of_model", "peak_macs_per_s"]

_CHANNELS, _SIDE = 256, 56  # large enough for every core, small enough for the caches
_SECONDS = 0.7


def macs_of(model: bytes, weights: bytes | None) -> int:
    """Multiplications with addition in one run, from the shapes of convolutions and matrix products."""
    return macs_of_model(openvino_core().read_model(model=model, weights=weights or b""))


def macs_of_model(model: ov.Model) -> int:
    """As :func:`macs_of`, of a graph that is open."""
    return sum(_macs(node) for node in model.get_ordered_ops())


def peak_macs_per_s(precision: str, *, device: str, threads: int) -> float:
    """Multiplications a second in a large convolution, the best of 3x3 and 1x1.

    Args:
        precision: of the graph that is compared: int8 multiplies in 8 bits.
        threads: 0 for one per core.
    """
    settings: dict[str, object] = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    if threads and device == "CPU":
        settings["INFERENCE_NUM_THREADS"] = threads
    images = np.random.default_rng(0).random((1, _CHANNELS, _SIDE, _SIDE), np.float32)
    best = 0.0
    for kernel in (3, 1):
        graph = _convolution(kernel, quantized=precision == "int8")
        request = openvino_core().compile_model(graph, device, settings).create_infer_request()
        macs = images.size * _CHANNELS * kernel**2
        best = max(best, macs / _best_seconds(request, images))
    return best


def _best_seconds(request: ov.InferRequest, images: object) -> float:
    best, end_s = math.inf, time.perf_counter() + _SECONDS
    while time.perf_counter() < end_s:
        begun_s = time.perf_counter()
        request.infer({0: images})
        best = min(best, time.perf_counter() - begun_s)
    return best


def _convolution(kernel: int, *, quantized: bool) -> ov.Model:
    """A convolution that keeps channels and size; 8 bits as export quantizes: weights in half the range."""
    weight = np.random.default_rng(1).normal(size=(_CHANNELS, _CHANNELS, kernel, kernel))
    images = op.parameter([1, _CHANNELS, _SIDE, _SIDE], np.float32)
    inputs, weights = images, op.constant(weight.astype(np.float32))
    if quantized:
        inputs = _quantized(images, 0.0, 1.0, levels=256)
        weights = _quantized(weights, -4.0, 4.0, levels=255)
    pad = [kernel // 2] * 2
    convolution = op.convolution(inputs, weights, [1, 1], pad, pad, [1, 1])
    outputs = _quantized(op.relu(convolution), 0.0, 64.0, levels=256) if quantized else op.relu(convolution)
    return ov.Model([outputs], [images])


def _quantized(node: ov.Node, low: float, high: float, *, levels: int) -> ov.Node:
    return op.fake_quantize(
        node, np.float32(low), np.float32(high), np.float32(low), np.float32(high), levels
    )


def _macs(node: ov.Node) -> int:
    kind = node.get_type_name()
    if kind == "Convolution":
        return _size(node.output(0)) * _product(node.input_value(1).shape[1:])
    if kind == "GroupConvolution":  # weights (groups, out, in, ...)
        return _size(node.output(0)) * _product(node.input_value(1).shape[2:])
    if kind == "ConvolutionBackpropData":
        return _size(node.input_value(0)) * _product(node.input_value(1).shape[1:])
    if kind == "GroupConvolutionBackpropData":
        return _size(node.input_value(0)) * _product(node.input_value(1).shape[2:])
    if kind == "MatMul":
        transposed = node.get_attributes().get("transpose_a", False)
        inner = node.input_value(0).shape[-2 if transposed else -1]
        return int(_size(node.output(0)) * inner)
    return 0


def _size(port: ov.Output) -> int:
    return _product(port.shape)


def _product(sizes: Iterable[int]) -> int:
    return math.prod(map(int, sizes))
