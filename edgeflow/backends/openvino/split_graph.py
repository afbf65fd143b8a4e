"""An OpenVINO graph cut at the features that the flow gets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import openvino as ov
from openvino import opset13 as op

__all__ = ["IrParts", "cut"]


@dataclass(frozen=True, kw_only=True)
class IrParts:
    """Two graphs that are one after the other.

    Attributes:
        extractor: images to features (N, C, h, w); views do not meet in it, so that N may be 1.
        flow: features of all views to the graph's outputs, those of a foreground head too.
    """

    extractor: ov.Model
    flow: ov.Model


def cut(model: ov.Model) -> IrParts | None:
    """Both parts of a graph for several views; None of one for a single view, or of another make.

    The flow begins by laying the channels of all views side by side; a foreground head reads the features
    before they are standardised, and lays its own maps side by side too. The features are the first value
    through which everything goes. The parts are the model's own nodes: it is of no use afterwards.
    """
    views = model.input(0).shape[0]
    joined = [value for node in model.get_ordered_ops() for value in _side_by_side(node, views)]
    candidates = (value for found in joined for value in _unscaled(found))
    features = next((value for value in candidates if _separates(model, value)), None)
    if views < 2 or features is None:
        return None
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


def _unscaled(value: ov.Output) -> Iterator[ov.Output]:
    """A value, and what it was before it was rounded, and before every product and sum with a constant."""
    yield value
    while value.get_node().get_type_name() in {"Add", "Multiply", "FakeQuantize"}:
        varying = [
            source for source in value.get_node().input_values() if not _is_constant(source.get_node())
        ]
        if len(varying) != 1:
            return
        (value,) = varying
        yield value


def _is_constant(node: ov.Node) -> bool:
    if node.get_type_name() == "Convert":  # of a constant that is stored in half precision
        node = node.input_value(0).get_node()
    return bool(node.get_type_name() == "Constant")


def _separates(model: ov.Model, value: ov.Output) -> bool:
    """True if every way from the images to an output leads through a value."""
    begun, seen = [result.input_value(0) for result in model.get_results()], set()
    while begun:
        port = begun.pop()
        node = port.get_node()
        if port == value or node.get_friendly_name() in seen:
            continue
        if node.get_type_name() == "Parameter":
            return False
        seen.add(node.get_friendly_name())
        begun += node.input_values()
    return True


def _side_by_side(node: ov.Node, views: int) -> Iterator[ov.Output]:
    """The value (V, C, h, w) of which a node makes (1, V*C, h, w), if it does.

    Slices of all views are joined along the channels; in bundles of before they are given another shape.
    """
    sources = node.input_values()[:1]
    if node.get_type_name() == "Concat":
        slices = [value.get_node() for value in node.input_values()]
        if any(found.get_type_name() not in {"Slice", "StridedSlice"} for found in slices):
            return
        sources = [found.input_value(0) for found in slices]
    elif node.get_type_name() != "Reshape":
        return
    if any(source != sources[0] for source in sources) or sources[0].partial_shape.is_dynamic:
        return
    before, after = list(sources[0].shape), list(node.output(0).shape)
    if len(before) == 4 and before[0] == views and after == [1, views * before[1], *before[2:]]:
        yield sources[0]
