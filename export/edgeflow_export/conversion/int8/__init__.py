"""INT8: convolutions with 8-bit inputs and weights, the same integers for every back end.

In: an ONNX graph in float and normal parts. Out: a ``Calibration`` (ranges of activations, rounded weights)
and, for any choice of layers in float, the quantized ONNX graph that OpenVINO and ONNX Runtime read.
Starts no threads. Read ``calibration.py`` first; the rounding itself is in ``rounding/``.
"""

from edgeflow_export.conversion.int8.calibration import calibrate
from edgeflow_export.conversion.int8.groups import Group, groups_of_onnx
from edgeflow_export.conversion.int8.options import Int8Options
from edgeflow_export.conversion.int8.quantized_graph import Calibration, write_quantized

__all__ = [
    "Calibration",
    "Group",
    "Int8Options",
    "calibrate",
    "groups_of_onnx",
    "write_quantized",
]
