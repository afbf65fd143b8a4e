"""Memory of a session: what the first part takes is what it keeps, so that a box counts a product rightly."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from edgeflow.backends.onnxruntime.runner import open_session
from edgeflow.backends.runner import DEFAULT_PLACEMENT
from edgeflow.metrics.system import resident_bytes

SIDE, CHANNELS, LAYERS = 512, 32, 4


def deep_network() -> bytes:
    """Convolutions on 512 pixels a side: 34 MB for each map of features."""
    layers, weights, given, channels = [], [], "images", 3
    for number in range(LAYERS):
        kernel = np.full((CHANNELS, channels, 3, 3), 0.01, np.float32)
        weights.append(numpy_helper.from_array(kernel, f"w{number}"))
        made = f"map{number}"
        layers.append(helper.make_node("Conv", [given, f"w{number}"], [made], pads=[1, 1, 1, 1]))
        given, channels = made, CHANNELS
    layers.append(helper.make_node("ReduceMax", [given], ["score"], axes=[1, 2, 3]))
    shape = helper.make_tensor_value_info("images", TensorProto.FLOAT, (1, 3, SIDE, SIDE))
    score = helper.make_tensor_value_info("score", TensorProto.FLOAT, None)
    graph = helper.make_graph(layers, "deep", [shape], [score], weights)
    opset = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString())


def taken_bytes() -> tuple[int, int]:
    """What the first part takes, and four parts together."""
    images = {"images": np.ones((1, 3, SIDE, SIDE), np.float32)}
    session = open_session(deep_network(), DEFAULT_PLACEMENT)
    before = resident_bytes()
    session.run(None, images)
    first = resident_bytes() - before
    for _ in range(3):
        session.run(None, images)
    return first, resident_bytes() - before


def test_later_parts_take_no_more_memory_than_the_first_one() -> None:
    # In a process of its own: what other tests free here would count against what this one takes.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        first, four = process.submit(taken_bytes).result()
    assert first > 2 * SIDE * SIDE * CHANNELS * 4
    assert four < 1.25 * first
