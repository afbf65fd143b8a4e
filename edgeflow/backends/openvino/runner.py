"""Graphs on OpenVINO: device, precision, threads and streams pinned, no silent fallback."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov

from edgeflow.backends.openvino.bf16 import computes_in_bf16
from edgeflow.backends.openvino.core import openvino_core, require_device
from edgeflow.backends.openvino.inference import AllViews, Compile, Inference, ViewByView
from edgeflow.backends.openvino.split_graph import cut
from edgeflow.backends.runner import ActualPlacement, Placement
from edgeflow.contracts.manifest import Graph
from edgeflow.contracts.scoring import FloatArray
from edgeflow.errors import DeviceError

__all__ = ["OpenVinoRunner"]

logger = logging.getLogger(__name__)

BY_VIEW_PIXELS = 512 * 512
"""Images from this size on go through the extractor one by one."""


class OpenVinoRunner:
    """A compiled OpenVINO IR graph.

    Args:
        placement: its device may be AUTO, HETERO or MULTI with the devices to choose among.

    Raises:
        DeviceError: a named device is not there, or cannot compile the graph.
    """

    def __init__(self, graph: Graph, model: bytes, weights: bytes | None, placement: Placement) -> None:
        core = openvino_core()
        require_device(placement.device, core.available_devices)
        if graph.precision == "bf16" and placement.device == "CPU" and not computes_in_bf16():
            raise DeviceError(
                f"{graph.id}: this processor does not compute in bf16; use a graph in int8 or fp32"
            )
        settings = _settings(graph, placement)

        def read() -> ov.Model:
            return core.read_model(model=model, weights=weights or b"")

        def compile_model(loaded: ov.Model, more: Mapping[str, object]) -> ov.CompiledModel:
            return _compiled(core, loaded, placement, {**settings, **more})

        pixels = graph.input.shape[1] * graph.input.shape[2]
        by_view = placement.device == "CPU" and pixels >= BY_VIEW_PIXELS
        try:
            self._inference = _inference(read, compile_model, placement.streams if by_view else None)
        except RuntimeError as cause:
            raise DeviceError(
                f"OpenVINO cannot compile {graph.id} on {placement.device}: {_last_line(cause)}"
            ) from cause
        self._graph = graph

    @property
    def placement(self) -> ActualPlacement:
        """Device and settings with which the graph really runs; AUTO decides when it compiles."""
        compiled = self._inference.compiled
        taken = [str(name).strip("()") for name in compiled.get_property("EXECUTION_DEVICES")]
        found = _properties(compiled, taken[0])
        return ActualPlacement(
            device=",".join(taken),
            precision=_PRECISIONS.get(found("INFERENCE_PRECISION_HINT"), "unknown"),
            threads=int(found("INFERENCE_NUM_THREADS") or 0),
            streams=int(found("NUM_STREAMS") or 1),
        )

    def run(self, images: npt.NDArray[np.uint8]) -> tuple[FloatArray, ...]:
        """uint8 (N, H, W, 3) to the graph's outputs, float32 (N, h, w) each."""
        try:
            outputs = self._inference.infer(images)
        except RuntimeError as cause:
            raise DeviceError(f"OpenVINO failed on {self._graph.id}: {_last_line(cause)}") from cause
        # Copies: the request's buffers are used again.
        return tuple(np.array(outputs[tensor.name], np.float32) for tensor in self._graph.outputs)

    def close(self) -> None:
        """Nothing to release: OpenVINO frees its objects with their last reference."""


_PRECISIONS = {ov.Type.f32: "f32", ov.Type.bf16: "bf16", ov.Type.f16: "f16"}


def _inference(read: Callable[[], ov.Model], compile_model: Compile, streams: int | None) -> Inference:
    """View by view where that is asked for and the graph allows it, else all views at once.

    Args:
        streams: views in the extractor at once; None: all views at once.
    """
    whole = read()
    parts = cut(whole) if streams is not None else None
    if parts is None or streams is None:
        return AllViews(whole, compile_model)
    try:
        return ViewByView(parts, compile_model, streams)
    except RuntimeError as cause:  # an extractor whose shapes are fixed for all views
        logger.info("views stay together: %s", _last_line(cause))
        return AllViews(read(), compile_model)


def _settings(graph: Graph, placement: Placement) -> dict[str, object]:
    # The plugins may choose bf16 or fp16 by themselves: scores must not depend on the processor.
    settings: dict[str, object] = {
        "INFERENCE_PRECISION_HINT": "bf16" if graph.precision == "bf16" else "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": placement.streams,
    }
    if placement.threads and placement.device == "CPU":
        settings["INFERENCE_NUM_THREADS"] = placement.threads
    if placement.device.partition(":")[0] == "AUTO":
        # Else the first parts would run on the processor while the chosen device still compiles.
        settings["ENABLE_STARTUP_FALLBACK"] = False
    return settings


def _compiled(
    core: ov.Core, model: ov.Model, placement: Placement, settings: dict[str, object]
) -> ov.CompiledModel:
    """Compiled with the model cache where it can be used, else without: it only saves time."""
    device, cache_dir = placement.device, placement.cache_dir
    if cache_dir is not None:
        try:
            return core.compile_model(model, device, {**settings, "CACHE_DIR": str(cache_dir)})
        except RuntimeError as cause:
            reason = _last_line(cause)
        # If it fails here too, the cache was not to blame, and the error is this one.
        compiled = core.compile_model(model, device, settings)
        logger.warning("model cache %s cannot be used (%s); going on without it", cache_dir, reason)
        return compiled
    return core.compile_model(model, device, settings)


def _properties(compiled: ov.CompiledModel, device: str) -> Any:
    """Reads a property; AUTO and HETERO hold those of the devices that they took apart."""
    try:
        own = compiled.get_property("DEVICE_PROPERTIES")[device]
    except (RuntimeError, KeyError, TypeError):
        own = None

    def found(name: str) -> Any:
        if own is not None:
            return own.get(name)
        try:
            return compiled.get_property(name)
        except RuntimeError:  # not every device has threads of its own
            return None

    return found


def _last_line(cause: Exception) -> str:
    lines = [line for line in str(cause).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(cause).__name__
