"""A network that is no likelihood, such as MVANet, to INT8 on OpenVINO by NNCF."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence

import nncf
import openvino as ov
from nncf.quantization.advanced_parameters import OverflowFix

from edgeflow_export.data.dataset import Images

__all__ = ["quantize_network"]

CONVOLUTIONS = {"Convolution", "GroupConvolution"}
NNCF_LOGGERS = ("nncf", "torch.utils.cpp_extension")
"""NNCF's own, and that of a part of torch which it asks for a GPU's compiler."""


def quantize_network(model: ov.Model, samples: Sequence[Images], *, products: bool) -> ov.Model:
    """INT8 form of a network whose output is not a likelihood, such as MVANet.

    Args:
        samples: images as the graph takes them.
        products: matrix products too, with what NNCF quantizes around them; else convolutions alone.
    """
    kept = {op.get_type_name() for op in model.get_ordered_ops()} - CONVOLUTIONS
    with _quiet(*NNCF_LOGGERS), contextlib.redirect_stdout(sys.stderr):
        return nncf.quantize(
            model,
            nncf.Dataset(list(samples)),
            subset_size=len(samples),
            preset=nncf.QuantizationPreset.MIXED,
            model_type=nncf.ModelType.TRANSFORMER if products else None,
            ignored_scope=None if products else nncf.IgnoredScope(types=sorted(kept), validate=False),
            advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=OverflowFix.ENABLE),
        )


@contextlib.contextmanager
def _quiet(*names: str | None) -> Iterator[None]:
    """Without libraries' advice to their developers, in warnings and in the loggers of these names."""
    levels = [(logger, logger.level) for logger in map(logging.getLogger, names)]
    for logger, _ in levels:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in levels:
            logger.setLevel(level)
