"""Hostile graphs: refused before a back end sees them, and by the same rules as our own graphs pass."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from edgeflow.backends.ir_safety import inspect_ir
from edgeflow.backends.onnx_safety import ONNX_OPERATORS, inspect_onnx
from edgeflow.backends.table import make_runner
from edgeflow.bundle import Bundle
from edgeflow.errors import IntegrityError
from support.small import colour_mean
from support.tiny import TinyProduct

GOOD = colour_mean().SerializeToString()


def test_our_own_graphs_pass(tiny: TinyProduct) -> None:
    inspect_onnx(GOOD, what="mean.onnx")
    with Bundle.open(tiny.bundle) as bundle:
        for graph in bundle.manifest.graphs:
            weights = bundle.read(graph.weights) if graph.weights else b""
            if graph.backend == "openvino":
                inspect_ir(bundle.read(graph.model), weights, what=graph.model)
            else:
                inspect_onnx(bundle.read(graph.model), what=graph.model)


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


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_onnx_is_refused_with_its_reason(name: str) -> None:
    make, reason = HOSTILE[name]
    model = make()
    raw = model if isinstance(model, bytes) else model.SerializeToString()
    with pytest.raises(IntegrityError, match=reason) as caught:
        inspect_onnx(raw, what="mean.onnx")
    assert caught.value.message.startswith("mean.onnx: ")
    assert caught.value.exit_code == 5


def harmless(model: onnx.ModelProto) -> bool:
    """The rules again, by the library and without the shortcuts of the walk."""

    def carried(tensor: TensorProto) -> bool:
        return tensor.data_location == TensorProto.DEFAULT and not tensor.external_data

    attributes = [attribute for node in model.graph.node for attribute in node.attribute]
    return (
        all(node.op_type in ONNX_OPERATORS and node.domain in ("", "ai.onnx") for node in model.graph.node)
        and all(carried(tensor) for tensor in model.graph.initializer)
        and all(carried(tensor) for a in attributes for tensor in (a.t, *a.tensors))
        and not any(a.HasField("g") or a.graphs or a.sparse_tensors for a in attributes)
        and not model.functions
        and not model.graph.sparse_initializer
    )


@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_what_passes_is_harmless_to_the_library_too(changes: list[tuple[int, int]]) -> None:
    data = bytearray(GOOD)
    for place, value in changes:
        data[place] = value
    try:
        inspect_onnx(bytes(data), what="x")
    except IntegrityError:
        return
    try:
        model = onnx.load_model_from_string(bytes(data))
    except Exception:  # noqa: BLE001 - what the library cannot read, ONNX Runtime cannot either
        return
    assert harmless(model)


def ir(*layers: str, head: str = "", body: str = "") -> bytes:
    return f'<?xml version="1.0"?>{head}<net><layers>{"".join(layers)}</layers>{body}</net>'.encode()


RELU = '<layer type="ReLU" version="opset1"/>'
CONSTANT = '<layer type="Const" version="opset1"><data offset="{}" size="{}"/></layer>'
ENTITIES = (
    '<!DOCTYPE net [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>'
)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (ir(head=ENTITIES, body="&c;"), "document type"),
        (ir(head='<!DOCTYPE net SYSTEM "file:///etc/passwd">'), "document type"),
        (ir('<layer type="Loop" version="opset5"/>'), "operation 'Loop'"),
        (ir('<layer type="TensorIterator" version="opset1"/>'), "operation 'TensorIterator'"),
        (ir(RELU, body="<body/>"), "graph inside"),
        (ir('<layer type="ReLU" version="extension"/>'), "not OpenVINO's own"),
        (ir('<layer version="opset1"/>'), "operation ''"),
        (ir(RELU * 20_000), "more than 10000 operations"),
        (ir(body="<a>" * 100 + "</a>" * 100), "in one another"),
        (ir(CONSTANT.format(0, 101)), "does not carry"),
        (ir(CONSTANT.format(101, -1)), "does not carry"),
        (ir(CONSTANT.format(-1, 1)), "does not carry"),
        (ir(CONSTANT.format(0, "all")), "does not carry"),
        (ir(RELU)[:-3], "unclosed|no element found"),
        (ir(body="ü"), "not plain XML"),
        (ir(RELU).decode().encode("utf-16"), "not plain XML"),
        (b"<?xml version='1.0'?><html/>", "not an OpenVINO graph"),
        (GOOD, "not plain XML"),  # OpenVINO would read ONNX in its place
        (b"", "not plain XML"),
    ],
)
def test_hostile_ir_is_refused_with_its_reason(model: bytes, reason: str) -> None:
    with pytest.raises(IntegrityError, match=reason) as caught:
        inspect_ir(model, bytes(100), what="model.xml")
    assert caught.value.message.startswith("model.xml: ")


def test_plain_ir_passes() -> None:
    inspect_ir(ir(RELU, CONSTANT.format(0, 100)), bytes(100), what="model.xml")


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_no_back_end_gets_a_hostile_graph(tiny: TinyProduct, backend: str) -> None:
    with Bundle.open(tiny.bundle) as bundle:
        graph = next(graph for graph in bundle.manifest.graphs if graph.backend == backend)
    with pytest.raises(IntegrityError, match=r"Loop|not plain XML"):
        make_runner(graph, looping().SerializeToString(), b"")
