"""Groups of layers that go to INT8 or stay in float together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from edgeflow_export.conversion.int8.calibration import prepare
from edgeflow_export.conversion.int8.layers import EXTRACTOR
from edgeflow_export.conversion.int8.onnx_graph import OnnxGraph
from edgeflow_export.conversion.int8.options import Int8Options

__all__ = ["Group", "groups_of_onnx"]

EXTRACTOR_GROUPS = 6


@dataclass(frozen=True, kw_only=True)
class Group:
    """Convolutions that go to INT8 or stay in float together.

    Attributes:
        members: their places among the graph's convolutions.
        macs: how often they multiply for one part.
    """

    name: str
    members: tuple[int, ...]
    macs: int


def groups_of_onnx(path: Path, options: Int8Options) -> tuple[Group, ...]:
    """Every layer of an ONNX graph that goes to INT8, in groups from the image to the maps."""
    model, layers = prepare(path, options)
    macs = _macs(model)
    extractor = [layer.place for layer in layers if layer.owner == EXTRACTOR]
    chunks = min(EXTRACTOR_GROUPS, len(extractor))
    groups = [
        _group(
            f"extractor part {number + 1} of {chunks}",
            extractor[len(extractor) * number // chunks : len(extractor) * (number + 1) // chunks],
            macs,
        )
        for number in range(chunks)
    ]
    others = dict.fromkeys(layer.owner for layer in layers if layer.owner != EXTRACTOR)
    groups += [
        _group(owner, [layer.place for layer in layers if layer.owner == owner], macs) for owner in others
    ]
    return tuple(groups)


def _group(name: str, places: Iterable[int], macs: list[int]) -> Group:
    members = tuple(places)
    return Group(name=name, members=members, macs=sum(macs[place] for place in members))


def _macs(model: onnx.ModelProto) -> list[int]:
    """Multiplications of each convolution of a graph; 0 where its output's size is not known."""
    graph = OnnxGraph(model)
    inferred = onnx.shape_inference.infer_shapes(model).graph
    sizes = {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*inferred.value_info, *inferred.output)
    }
    found = []
    for node in graph.convolutions():
        weights = graph.constant(node.input[1])
        size = sizes.get(node.output[0], [0])
        per_value = 0 if weights is None else weights[0].size
        found.append(int(np.prod(size)) * per_value)
    return found
