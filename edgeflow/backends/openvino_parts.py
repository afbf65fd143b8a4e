"""An OpenVINO graph cut at the features that the flow gets."""

from __future__ import annotations

from dataclasses import dataclass

import openvino as ov
from openvino import opset13 as op

__all__ = ["IrParts", "cut"]


@dataclass(frozen=True, kw_only=True)
class IrParts:
    """Two graphs that are one after the other.

    Attributes:
        extractor: images to features (N, C, h, w); views do not meet in it, so that N may be 1.
        flow: features of all views to the graph's outputs.
    """

    extractor: ov.Model
    flow: ov.Model


def cut(model: ov.Model) -> IrParts | None:
    """Both parts of a graph for several views; None of one for a single view, or of another make.

    The flow begins by laying the channels of all views side by side. The parts are the model's own nodes:
    it is of no use afterwards.
    """
    views = model.input(0).shape[0]
    found = next((node for node in model.get_ordered_ops() if _is_side_by_side(node, views)), None)
    if views < 2 or found is None:
        return None
    features = found.input_value(0)
    names = [sorted(port.get_names()) for port in model.outputs]
    results = model.get_results()
    parameter = op.parameter(features.shape, features.get_element_type(), "features")
    for consumer in list(features.get_target_inputs()):
        consumer.replace_source_output(parameter.output(0))
    extractor = ov.Model([op.result(features)], model.get_parameters(), "extractor")
    flow = ov.Model(results, [parameter], "flow")
    for port, known in zip(flow.outputs, names, strict=True):
        port.get_tensor().set_names(set(known))
    return IrParts(extractor=extractor, flow=flow)


def _is_side_by_side(node: ov.Node, views: int) -> bool:
    """Whether a node makes (1, V*C, h, w) of (V, C, h, w)."""
    if node.get_type_name() != "Reshape" or node.input_value(0).partial_shape.is_dynamic:
        return False
    before, after = list(node.input_value(0).shape), list(node.output(0).shape)
    return len(before) == 4 and before[0] == views and after == [1, views * before[1], *before[2:]]
