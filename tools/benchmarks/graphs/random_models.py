"""Graphs of the recipes' shapes with random weights, for any number of views and any size."""

from __future__ import annotations

import tempfile
from pathlib import Path

import nncf
import numpy as np
import openvino as ov
import torch
from torch import nn

from edgeflow_export.conversion.onnx_and_ir import convert_to_ir, export_onnx
from edgeflow_export.conversion.rewriting import rewrite
from edgeflow_export.models.compact_net import CompactNet
from edgeflow_export.models.inspection_model import InspectionModel
from edgeflow_export.models.multiflow import FlowShape, MultiFlow
from edgeflow_export.models.view_graph import view_graph

__all__ = ["SHAPES", "convolutions_in_int8", "graph_of", "rewritten_graphs"]

SHAPES = {"fast": (32, 16, (3, 1, 1, 1)), "balanced": (64, 24, (3, 3, 1, 1)), "full": (64, 32, (3, 3, 3, 3))}
"""Recipe → channels of the features, hidden channels of the flow, its kernels."""
CLAMP = 1.9


def rewritten_graphs(views: int, side: int, recipe: str = "fast") -> dict[str, ov.Model]:
    """The model rewritten for inference, in fp32 and with its convolutions in INT8."""
    torch.manual_seed(0)
    channels, hidden, kernels = SHAPES[recipe]
    flow = MultiFlow(
        FlowShape(
            channels=channels,
            hidden=hidden,
            kernels=kernels,
            clamp=CLAMP,
            conditioned=True,
            graph=view_graph("cs_neigh", views),
        )
    )
    cells = side // 8
    shape = (views, channels, cells, cells)
    trained = InspectionModel(CompactNet(channels), torch.randn(shape), torch.rand(shape) + 0.5, flow).eval()
    images = torch.zeros((views, side, side, 3), dtype=torch.uint8)
    whole = graph_of(rewrite(trained, (side, side)), images)
    sample = np.random.default_rng(0).integers(0, 256, (views, side, side, 3), np.uint8)
    return {"fp32": whole, "INT8": convolutions_in_int8(whole.clone(), sample)}


def graph_of(module: nn.Module, example: torch.Tensor, outputs: tuple[str, ...] = ("maps",)) -> ov.Model:
    """A module's OpenVINO graph."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.onnx"
        export_onnx(module.eval(), example, outputs, path)
        return convert_to_ir(path)


def convolutions_in_int8(model: ov.Model, sample: np.ndarray) -> ov.Model:
    """A quick INT8 form, for times only."""
    kept = {op.get_type_name() for op in model.get_ordered_ops()} - {"Convolution", "GroupConvolution"}
    return nncf.quantize(
        model,
        nncf.Dataset([sample]),
        subset_size=1,
        ignored_scope=nncf.IgnoredScope(types=sorted(kept), validate=False),
    )
