"""Graphs on OpenVINO: device and precision pinned, no silent fallback."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino as ov

from edgeflow.contracts.manifest import Graph
from edgeflow.contracts.scoring import FloatArray
from edgeflow.errors import DeviceError

__all__ = ["OpenVinoRunner"]


class OpenVinoRunner:
    """A compiled OpenVINO IR graph.

    Raises:
        DeviceError: the device is not there, or cannot compile the graph.
    """

    def __init__(
        self,
        graph: Graph,
        model: bytes,
        weights: bytes | None,
        *,
        device: str,
        threads: int,
        cache_dir: Path | None,
    ) -> None:
        core = ov.Core()
        if device.partition(":")[0].partition(".")[0] not in {
            d.partition(".")[0] for d in core.available_devices
        }:
            found = ", ".join(core.available_devices)
            raise DeviceError(f"OpenVINO device '{device}' is not on this machine; found: {found}")
        # The plugins may choose bf16 or fp16 by themselves: scores must not depend on the processor.
        settings: dict[str, object] = {
            "INFERENCE_PRECISION_HINT": "bf16" if graph.precision == "bf16" else "f32",
            "PERFORMANCE_HINT": "LATENCY",
        }
        if device == "CPU" and threads:
            settings["INFERENCE_NUM_THREADS"] = threads
        if cache_dir is not None:
            settings["CACHE_DIR"] = str(cache_dir)
        try:
            loaded = core.read_model(model=model, weights=weights or b"")
            self._compiled = core.compile_model(loaded, device, settings)
        except RuntimeError as cause:
            raise DeviceError(
                f"OpenVINO cannot compile {graph.id} on {device}: {_first_line(cause)}"
            ) from cause
        self._request = self._compiled.create_infer_request()
        self._graph = graph

    def run(self, images: npt.NDArray[np.uint8]) -> tuple[FloatArray, ...]:
        """uint8 (N, H, W, 3) to the graph's outputs, float32 (N, h, w) each."""
        try:
            outputs = self._request.infer({0: images})
        except RuntimeError as cause:
            raise DeviceError(f"OpenVINO failed on {self._graph.id}: {_first_line(cause)}") from cause
        # Copies: the request's buffers are used again.
        return tuple(np.array(outputs[tensor.name], np.float32) for tensor in self._graph.outputs)

    def close(self) -> None:
        """Nothing to release: OpenVINO frees its objects with their last reference."""


def _first_line(cause: Exception) -> str:
    lines = [line for line in str(cause).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(cause).__name__
