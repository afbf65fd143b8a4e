"""Hostile graphs: refused before a back end sees them, and by the same rules as our own graphs pass."""

from __future__ import annotations

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from edgeflow.backends.inspect_ir import inspect_ir
from edgeflow.backends.inspect_onnx import ONNX_OPERATORS, inspect_onnx
from edgeflow.backends.registry import make_runner
from edgeflow.bundles.bundle import Bundle
from edgeflow.errors import IntegrityError
from faults.hostile_graphs import GOOD, HOSTILE, looping
from tests.support.tiny import TinyProduct


def test_our_own_graphs_pass(tiny: TinyProduct) -> None:
    inspect_onnx(GOOD, what="mean.onnx")
    with Bundle.open(tiny.bundle) as bundle:
        for graph in bundle.manifest.graphs:
            weights = bundle.read(graph.weights) if graph.weights else b""
            if graph.backend == "openvino":
                inspect_ir(bundle.read(graph.model), weights, what=graph.model)
            else:
                inspect_onnx(bundle.read(graph.model), what=graph.model)


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
