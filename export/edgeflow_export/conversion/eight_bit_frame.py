"""Images stay in 8 bits up to the first convolution of an INT8 graph.

The stem frames images with the mean colour in floating point, and what follows rounds the frame to whole
numbers. Framed in 8 bits from the beginning, the numbers are the same, and no image is widened and narrowed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import opset14 as op

__all__ = ["frame_in_eight_bits"]

LEVELS = 256
_WHOLE, _PARTS = {"Concat", "Transpose"}, {"Slice", "StridedSlice"}

Array = npt.NDArray[np.float32]


def frame_in_eight_bits(model: ov.Model) -> bool:
    """Move the conversion to float behind the frame, where a rounding to 0, 1 … 255 follows.

    Returns:
        True if the graph was changed; a float graph never is.
    """
    convert = next((node for node in model.get_ordered_ops() if _widens_images(node)), None)
    found = None if convert is None else _framed(convert)
    if convert is None or found is None or found == convert.output(0):
        return False
    targets, frame = list(found.get_target_inputs()), _between(convert, found)
    if frame is None or not all(_rounds(target.get_node()) for target in targets):
        return False
    for port, value in frame:
        port.replace_source_output(op.constant(np.round(value).astype(np.uint8)).output(0))
    for target in list(convert.output(0).get_target_inputs()):
        target.replace_source_output(convert.input_value(0))
    widened = op.convert(found, "f32")
    for target in targets:
        target.replace_source_output(widened.output(0))
    model.validate_nodes_and_infer_types()
    return True


def _widens_images(node: ov.Node) -> bool:
    if node.get_type_name() != "Convert":
        return False
    source = node.input_value(0)
    return bool(source.get_node().get_type_name() == "Parameter" and source.get_element_type() == ov.Type.u8)


def _framed(convert: ov.Node) -> ov.Output | None:
    """The images behind the last frame; None where they go two ways."""
    value = convert.output(0)
    while True:
        users = [target.get_node() for target in value.get_target_inputs()]
        names = {user.get_friendly_name() for user in users if user.get_type_name() in _WHOLE}
        if len(names) > 1:
            return None
        if not names:
            return value
        value = next(user for user in users if user.get_type_name() in _WHOLE).output(0)


def _between(convert: ov.Node, found: ov.Output) -> list[tuple[ov.Input, Array]] | None:
    """Inputs for constants of the operations that make the frame; None where there are other operations."""
    constants: list[tuple[ov.Input, Array]] = []
    begun, seen = [convert.output(0)], set()
    while begun:
        value = begun.pop()
        for node in () if value == found else (t.get_node() for t in value.get_target_inputs()):
            if node.get_friendly_name() in seen:
                continue
            seen.add(node.get_friendly_name())
            if node.get_type_name() in {"Multiply", "Add"}:
                fixed = [(port, _constant(port.get_source_output())) for port in node.inputs()]
                constants += [(port, value) for port, value in fixed if value is not None]
            elif node.get_type_name() not in {*_WHOLE, *_PARTS}:
                return None
            begun.append(node.output(0))
    return constants


def _rounds(node: ov.Node) -> bool:
    """True if a node rounds to 0, 1 … 255 and nothing else."""
    if node.get_type_name() != "FakeQuantize" or node.get_attributes()["levels"] != LEVELS:
        return False
    ends = [_constant(node.input_value(place)) for place in range(1, 5)]
    wanted = (0.0, LEVELS - 1.0) * 2
    return all(e is not None and np.allclose(e, w, atol=1e-4) for e, w in zip(ends, wanted, strict=True))


def _constant(value: ov.Output) -> Array | None:
    node = value.get_node()
    return np.array(node.data, np.float32) if node.get_type_name() == "Constant" else None
