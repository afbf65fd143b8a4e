"""Runs that start where the last one had settled give what whole runs give, and compute less."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeflow_export.conversion.int8.passes import Passes

SAMPLES = [np.random.default_rng(seed).normal(size=(1, 2, 8, 8)).astype(np.float32) for seed in range(3)]


@pytest.fixture
def model() -> onnx.ModelProto:
    """Three convolutions; the last one's output is added to the first one's."""
    nodes = [
        helper.make_node("Conv", ["images", "w1"], ["one"], name="first"),
        helper.make_node("Relu", ["one"], ["rectified"], name="relu"),
        helper.make_node("Conv", ["rectified", "w2"], ["two"], name="second"),
        helper.make_node("Conv", ["two", "w3"], ["three"], name="third"),
        helper.make_node("Add", ["one", "three"], ["sum"], name="join"),
    ]
    rng = np.random.default_rng(9)
    weights = [
        numpy_helper.from_array(rng.normal(size=(2, 2, 1, 1)).astype(np.float32), name)
        for name in ("w1", "w2", "w3")
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, (1, 2, 8, 8))],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, (1, 2, 8, 8))],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def sums(passes: Passes, model: onnx.ModelProto) -> list[np.ndarray]:
    return [values["sum"] for values in passes.observe(model, ["sum"])]


def test_a_run_from_the_settled_part_gives_what_a_whole_run_gives(model: onnx.ModelProto) -> None:
    whole, short = Passes.of(model, SAMPLES), Passes.of(model, SAMPLES)
    for wanted, unsettled in (("one", {"second", "third"}), ("two", {"third"})):
        shown = [values[wanted] for values in short.observe(model, [wanted], unsettled)]
        again = [values[wanted] for values in whole.observe(model, [wanted])]
        np.testing.assert_array_equal(shown, again)
    np.testing.assert_array_equal(sums(short, model), sums(whole, model))


def test_what_is_settled_is_not_computed_again(model: onnx.ModelProto) -> None:
    passes = Passes.of(model, SAMPLES)
    before = sums(passes, model)
    list(passes.observe(model, ["two"], {"third"}))
    # Another first convolution changes nothing any more: its output is held for every part.
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.zeros((2, 2, 1, 1), np.float32), "w1"))
    np.testing.assert_array_equal(sums(passes, model), before)
    assert not np.array_equal(sums(Passes.of(model, SAMPLES), model), before)


def test_values_that_take_too_much_memory_are_computed_again(model: onnx.ModelProto) -> None:
    passes = Passes.of(model, SAMPLES, held_bytes=2 * SAMPLES[0].nbytes)  # of three parts
    list(passes.observe(model, ["two"], {"third"}))
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.zeros((2, 2, 1, 1), np.float32), "w1"))
    np.testing.assert_array_equal(sums(passes, model), np.zeros((3, 1, 2, 8, 8)))
