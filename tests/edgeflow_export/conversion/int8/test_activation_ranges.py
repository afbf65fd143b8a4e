"""Ranges of tensors: the smallest and largest value over all parts, found in little memory."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgeflow_export.conversion.int8.activation_ranges import find_ranges
from edgeflow_export.conversion.int8.passes import Passes

LAYERS, SHAPE = 24, (1, 2, 2048, 1024)
STATUS = Path("/proc/self/status")


def chain() -> onnx.ModelProto:
    """Convolutions one after another; each keeps the size and changes the sign."""
    nodes = [
        helper.make_node("Conv", [f"t{place}", "weight"], [f"t{place + 1}"], name=f"layer {place}")
        for place in range(LAYERS)
    ]
    weight = -np.eye(2, dtype=np.float32).reshape(2, 2, 1, 1)
    ports = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE)] for name in ("t0", f"t{LAYERS}")]
    graph = helper.make_graph(nodes, "g", *ports, [numpy_helper.from_array(weight, "weight")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def held(name: str) -> int:
    """This process's memory in bytes: VmRSS now, VmHWM at most."""
    found = re.search(rf"^{name}:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def test_ranges_cover_all_parts_and_no_tensor_is_held_for_them() -> None:
    samples = []
    for low, high in ((-3.0, 1.0), (-1.0, 2.0)):
        sample = np.zeros(SHAPE, np.float32)
        sample[0, 0, 0, :2] = low, high
        samples.append(sample)
    passes = Passes.of(chain(), samples)
    Path("/proc/self/clear_refs").write_text("5")  # the most that was held counts from here
    before = held("VmRSS")
    ranges = find_ranges(chain(), [f"t{place}" for place in range(LAYERS + 1)], passes)
    assert [(found.low, found.high) for found in ranges.values()] == [
        (-2.0, 3.0) if place % 2 else (-3.0, 2.0) for place in range(LAYERS + 1)
    ]
    assert held("VmHWM") - before < 0.5 * LAYERS * samples[0].nbytes
