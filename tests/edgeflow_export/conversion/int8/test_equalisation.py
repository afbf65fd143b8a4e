"""Equalised channels: the same numbers, from kernels whose channels are of like size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import nn

from edgeflow_export.conversion.int8.equalisation import equalise
from edgeflow_export.conversion.int8.onnx_graph import OnnxGraph
from edgeflow_export.conversion.onnx_and_ir import export_onnx


def test_channels_are_balanced_and_the_numbers_stay(tmp_path: Path) -> None:
    torch.manual_seed(0)
    first, depthwise, last = (
        nn.Conv2d(3, 8, 3),
        nn.Conv2d(8, 8, 3, groups=8, padding=1),
        nn.Conv2d(8, 4, 1, bias=False),
    )
    with torch.no_grad():
        first.weight *= torch.logspace(-2, 2, 8).view(-1, 1, 1, 1)
    network = nn.Sequential(first, nn.ReLU(), depthwise, nn.ReLU(), last, nn.Sigmoid()).eval()
    path = tmp_path / "network.onnx"
    export_onnx(network, torch.zeros(1, 3, 16, 16), ("out",), path)
    model = onnx.load(path)
    before = _run(model)
    spread = [_spread(model, place) for place in (0, 2)]
    equalise(OnnxGraph(model))
    np.testing.assert_array_equal(_run(model), before)  # powers of two lose nothing
    assert _spread(model, 0) < 0.2 * spread[0]
    assert _spread(model, 2) < 10 * spread[1]


def _run(model: onnx.ModelProto) -> np.ndarray:
    values = np.random.default_rng(0).normal(size=(1, 3, 16, 16)).astype(np.float32)
    return np.array(ort.InferenceSession(model.SerializeToString()).run(None, {"features": values})[0])


def _spread(model: onnx.ModelProto, place: int) -> float:
    """Largest over smallest size of a convolution's channels."""
    graph = OnnxGraph(model)
    kernel = graph.constant(graph.convolutions()[place].input[1])
    assert kernel is not None
    sizes = np.abs(kernel).reshape(len(kernel), -1).max(axis=1)
    return float(sizes.max() / sizes.min())
