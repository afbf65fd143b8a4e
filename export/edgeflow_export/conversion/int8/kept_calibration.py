"""A calibration among an export's kept results: both back ends and a resumed export take it over."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeflow_export.conversion.int8.activation_ranges import Range
from edgeflow_export.conversion.int8.calibration import calibrate, prepare
from edgeflow_export.conversion.int8.options import Int8Options
from edgeflow_export.conversion.int8.quantized_graph import Calibration, GridWeights
from edgeflow_export.conversion.stage_results import StageResults

__all__ = ["kept_calibration", "samples_identity"]

Arrays = Mapping[str, npt.NDArray[Any]]

_LINE_EVERY_S = 30.0


def kept_calibration(
    path: Path,
    samples: Sequence[npt.NDArray[Any]],
    options: Int8Options,
    results: StageResults,
    decided_by: Sequence[str],
) -> Calibration:
    """The calibration of an ONNX graph, made now or by an export before.

    Args:
        decided_by: identities of the graph, of the samples and of the options.
    """
    arrays = results.kept(
        "ranges of activations and rounded weights",
        decided_by,
        lambda: _packed(calibrate(path, samples, options, _Lines(results.say))),
    )
    return _unpacked(path, options, arrays)


def samples_identity(samples: Sequence[npt.NDArray[Any]], options: Int8Options) -> str:
    """A hash of the graph's inputs and of all choices."""
    digest = hashlib.sha256(options.identity.encode())
    for sample in samples:
        digest.update(f"{sample.shape}{sample.dtype}".encode() + np.ascontiguousarray(sample).tobytes())
    return digest.hexdigest()


class _Lines:
    """A line now and then on a calibration that takes long."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said_s = time.monotonic()

    def __call__(self, done: int, whole: int) -> None:
        """Tell how many layers are rounded, if the last line is old enough."""
        now_s = time.monotonic()
        if now_s - self._said_s >= _LINE_EVERY_S:
            self._said_s = now_s
            self._say(f"rounded {done} of {whole} convolutions")


def _packed(calibration: Calibration) -> dict[str, npt.NDArray[Any]]:
    arrays: dict[str, npt.NDArray[Any]] = {
        f"range {name}": np.array([bounds.low, bounds.high], np.float64)
        for name, bounds in calibration.ranges.items()
    }
    for name, weights in calibration.weights.items():
        arrays[f"integers {name}"], arrays[f"scales {name}"] = weights.integers, weights.scales
        arrays[f"shift {name}"] = weights.shift
    return arrays


def _unpacked(path: Path, options: Int8Options, arrays: Arrays) -> Calibration:
    model, layers = prepare(path, options)
    ranges = {}
    for tensor in dict.fromkeys(edge.tensor for layer in layers for edge in layer.edges):
        low, high = arrays[f"range {tensor}"].tolist()
        ranges[tensor] = Range(low=low, high=high)
    weights = {
        layer.name: GridWeights(
            integers=arrays[f"integers {layer.name}"],
            scales=arrays[f"scales {layer.name}"],
            shift=arrays[f"shift {layer.name}"],
        )
        for layer in layers
    }
    return Calibration(model=model, layers=layers, ranges=ranges, weights=weights)
