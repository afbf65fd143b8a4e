"""Multiplications of an ONNX graph, and the peak of this machine through ONNX Runtime."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from edgeflow.backends.onnxruntime.runner import open_session
from edgeflow.backends.runner import Placement
from edgeflow.temporary_folder import temporary_folder

__all__ = ["macs_of", "peak_macs_per_s"]

_SIDE = 1024
_SECONDS = 0.7
_FLOAT, _UINT8, _INT8, _INT32 = 1, 2, 3, 6  # element types of onnx.proto


def macs_of(model: bytes, weights: bytes | None) -> int:  # noqa: ARG001 - as every back end's
    """Multiplications with addition in one run, from the shapes of convolutions and matrix products.

    ONNX Runtime tells shapes only of what it runs: the graph as it is written runs once.
    """
    with temporary_folder() as folder:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.enable_profiling = True
        options.profile_file_prefix = str(folder / "profile")
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        session.run(None, {item.name: np.zeros(item.shape, np.uint8) for item in session.get_inputs()})
        events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
    return sum(_macs(event["args"]) for event in events if event["name"].endswith("_kernel_time"))


def peak_macs_per_s(precision: str, *, device: str, threads: int) -> float:
    """Multiplications a second in a large matrix product.

    Args:
        precision: of the graph that is compared: int8 multiplies in 8 bits.
        threads: 0 for one per core.
    """
    rng = np.random.default_rng(0)
    if precision == "int8":
        model = _product("MatMulInteger", (_UINT8, _INT8, _INT32))
        feeds: dict[str, Any] = {
            "a": rng.integers(0, 255, (_SIDE, _SIDE), np.uint8),
            "b": rng.integers(-64, 63, (_SIDE, _SIDE), np.int8),
        }
    else:
        model = _product("MatMul", (_FLOAT, _FLOAT, _FLOAT))
        feeds = {name: rng.random((_SIDE, _SIDE), np.float32) for name in ("a", "b")}
    session = open_session(model, Placement(device=device, threads=threads))
    best, end_s = math.inf, time.perf_counter() + _SECONDS
    while time.perf_counter() < end_s:
        begun_s = time.perf_counter()
        session.run(None, feeds)
        best = min(best, time.perf_counter() - begun_s)
    return _SIDE**3 / best


def _macs(node: dict[str, Any]) -> int:
    kind = node["op_name"]
    if kind not in {"Conv", "ConvTranspose", "MatMul", "Gemm"}:
        return 0
    inputs: list[list[int]] = [next(iter(typed.values())) for typed in node["input_type_shape"]]
    outputs: list[list[int]] = [next(iter(typed.values())) for typed in node["output_type_shape"]]
    if kind == "Conv":
        return math.prod(outputs[0]) * math.prod(inputs[1][1:])
    if kind == "ConvTranspose":
        return math.prod(inputs[0]) * math.prod(inputs[1][1:])
    return math.prod(outputs[0]) * inputs[0][-1]


def _product(operator: str, types: tuple[int, int, int]) -> bytes:
    """An ONNX model of one matrix product, written as protobuf: the box has no library for it."""
    names = ("a", "b", "c")
    values = [
        _field(1, name.encode()) + _field(2, _tensor(kind)) for name, kind in zip(names, types, strict=True)
    ]
    node = _field(1, b"a") + _field(1, b"b") + _field(2, b"c") + _field(4, operator.encode())
    graph = _field(1, node) + _field(2, b"peak")
    graph += _field(11, values[0]) + _field(11, values[1]) + _field(12, values[2])
    return _number(1, 9) + _field(7, graph) + _field(8, _number(2, 18))


def _tensor(kind: int) -> bytes:
    """A TypeProto: elements of a kind, in the square shape of the product."""
    side = _field(1, _number(1, _SIDE))
    return _field(1, _number(1, kind) + _field(2, side + side))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
