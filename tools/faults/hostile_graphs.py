"""ONNX graphs that no back end may ever see, each with the reason that it has to be refused for."""

from __future__ import annotations

from collections.abc import Callable

import onnx
from onnx import TensorProto, helper

from simulators.small_bundle import colour_mean

GOOD = colour_mean().SerializeToString()


def looping() -> onnx.ModelProto:
    """2⁴⁰ rounds of nothing."""
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"])],
        "body",
        [value("round", TensorProto.INT64, []), value("go", TensorProto.BOOL, [])],
        [value("on", TensorProto.BOOL, [])],
    )
    return colour_mean(helper.make_node("Loop", ["rounds", "go"], [], body=body))


def hidden_loop() -> onnx.ModelProto:
    """A graph inside an operator that is allowed."""
    return colour_mean(helper.make_node("Identity", ["a"], ["b"], body=looping().graph))


def external(location: str) -> onnx.ModelProto:
    model = colour_mean()
    (tensor,) = model.graph.initializer
    tensor.ClearField("int64_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return model


def external_in_a_constant() -> onnx.ModelProto:
    tensor = external("../secret").graph.initializer[0]
    return colour_mean(helper.make_node("Constant", [], ["c"], value=tensor))


def enormous_constant() -> onnx.ModelProto:
    """1.2 GB declared, nothing carried."""
    model = colour_mean()
    model.graph.initializer.add(name="big", data_type=TensorProto.FLOAT, dims=[300_000_000], raw_data=b"1234")
    return model


def chain(length: int) -> onnx.ModelProto:
    return colour_mean(*(helper.make_node("Exp", [f"x{i}"], [f"x{i + 1}"]) for i in range(length)))


def with_function() -> onnx.ModelProto:
    model = colour_mean()
    model.functions.add(name="f", domain="custom")
    return model


def wrapped(number: int, payload: bytes) -> bytes:
    """One field of a protobuf message."""
    out, rest = bytearray(), [number << 3 | 2, len(payload)]
    for value in rest:
        while value > 127:
            out.append(value & 127 | 128)
            value >>= 7  # noqa: PLW2901 - a varint is written from its lowest digits on
        out.append(value)
    return bytes(out) + payload


HOSTILE: dict[str, tuple[Callable[[], onnx.ModelProto | bytes], str]] = {
    "loop of 2^40 rounds": (looping, "operator 'Loop'|graph inside"),
    "graph inside an allowed operator": (hidden_loop, "graph inside an operator"),
    "external data outside the folder": (lambda: external("../../etc/passwd"), "data outside the bundle"),
    "external data, absolute": (lambda: external("/etc/passwd"), "data outside the bundle"),
    "external data in memory": (lambda: external("*/_ORT_MEM_ADDR_/*"), "data outside the bundle"),
    "external data in a constant": (external_in_a_constant, "data outside the bundle"),
    "constant of 1.2 GB": (enormous_constant, r"constant of 3e\+08 elements and carries 4 bytes"),
    "chain of 20,000 nodes": (lambda: chain(20_000), "more than 10000 operators"),
    "random numbers": (
        lambda: colour_mean(helper.make_node("RandomUniform", [], ["r"], shape=[1])), "'RandomUniform'"),
    "operators of a library": (
        lambda: colour_mean(helper.make_node("Gelu", ["maps"], ["g"], domain="com.evil")), "'com.evil'"),
    "functions": (with_function, "functions"),
    "nothing": (lambda: b"", "is not an ONNX model"),
    "no protobuf": (lambda: b"\xff" * 100, "is not an ONNX model"),
    "ONNX Runtime's own format": (lambda: b"\x08\x0a\x12\x04ORTM" + GOOD, "own format"),
    "millions of empty nodes": (lambda: wrapped(7, b"\x0a\0" * 5_000_000), "node without operator"),
    "millions of inputs": (lambda: wrapped(7, b"\x5a\0" * 5_000_000), "more than 500000 fields"),
    "millions of dimensions": (lambda: wrapped(7, wrapped(5, wrapped(1, b"\x7f" * 5_000_000))), "fields"),
    "cut off": (lambda: GOOD[:-5], "cut off"),
}  # fmt: skip
