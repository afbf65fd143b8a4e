"""anomalib's normalisation where OpenVINO has folded its factor into the filter before it, unfolded again."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import opset13 as op

__all__ = ["unfold_factors"]

_ALIKE = 1e-3
"""Of a filter: how far mirrored halves, and the sum of a filter that nothing was folded into, may be off."""


def unfold_factors(model: ov.Model) -> int:
    """Give filters in front of a clamp their sum of 1 back, and a multiplication behind them the factor.

    anomalib smooths its maps with a Gaussian filter, whose weights add up to 1, and normalises what comes out
    of it. Where OpenVINO's conversion sees the two side by side it multiplies the weights by the
    normalisation's factor, so that the graph holds the raw map nowhere.

    Returns:
        the number of filters that were changed.
    """
    changed = 0
    for clamp in model.get_ops():
        added = clamp.input_value(0).get_node() if clamp.get_type_name() == "Clamp" else None
        if added is None or added.get_type_name() != "Add":
            continue
        for port in added.inputs():
            filtered = port.get_source_output()
            weights = _smoothing(filtered.get_node())
            if weights is None or abs(weights.sum() - 1) < _ALIKE:
                continue
            factor = weights.sum()
            kernel = op.constant((weights / factor).astype(np.float32))
            filtered.get_node().input(1).replace_source_output(kernel.output(0))
            scaled = op.multiply(filtered, op.constant(np.float32(factor).reshape(1, 1, 1, 1)))
            port.replace_source_output(scaled.output(0))
            changed += 1
    if changed:
        model.validate_nodes_and_infer_types()
    return changed


def _smoothing(node: ov.Node) -> npt.NDArray[np.float64] | None:
    """The weights of a convolution of one channel that only smooths; None of any other operation."""
    if node.get_type_name() != "Convolution":
        return None
    source = node.input_value(1).get_node()
    if source.get_type_name() == "Convert":  # of weights in half precision
        source = source.input_value(0).get_node()
    if source.get_type_name() != "Constant":
        return None
    weights = np.asarray(source.data, np.float64)
    if weights.shape[:2] != (1, 1) or weights.ndim != 4 or min(weights.shape[2:]) < 3:
        return None
    mirrored = (weights[:, :, ::-1], weights[:, :, :, ::-1], weights.transpose(0, 1, 3, 2))
    largest = weights.max()
    even = all(
        other.shape == weights.shape and np.abs(other - weights).max() < _ALIKE * largest
        for other in mirrored
    )
    middle = weights[0, 0, weights.shape[2] // 2, weights.shape[3] // 2]
    return weights if even and weights.min() >= 0 and middle == largest > 0 else None
