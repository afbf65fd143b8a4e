"""The kinds of arithmetic that this machine's processor has."""

from __future__ import annotations

import functools

import numpy as np
import openvino as ov

from edgeflow.backends.openvino.core import openvino_core

__all__ = ["has_bf16"]


@functools.cache
def has_bf16() -> bool:
    """True if this processor computes in bf16; elsewhere it is only imitated.

    Tried on a small convolution: the library tells of the processor, not of limits set for itself.
    """
    core = openvino_core()
    if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return False
    image = ov.opset13.parameter([1, 16, 8, 8], np.float32)
    weights = ov.opset13.constant(np.ones((16, 16, 3, 3), np.float32))
    found = ov.opset13.convolution(image, weights, [1, 1], [0, 0], [0, 0], [1, 1])
    try:
        core.compile_model(ov.Model([found], [image]), "CPU", {"INFERENCE_PRECISION_HINT": "bf16"})
    except RuntimeError:
        return False
    return True
