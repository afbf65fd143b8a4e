"""Graphs on ONNX Runtime: one named execution provider, no silent fallback."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from edgeflow.contracts.manifest import Graph
from edgeflow.contracts.scoring import FloatArray
from edgeflow.errors import DeviceError

__all__ = ["OnnxRuntimeRunner"]

_PROVIDERS = {
    "CPU": "CPUExecutionProvider",
    "CUDA": "CUDAExecutionProvider",
    "TENSORRT": "TensorrtExecutionProvider",
}


class OnnxRuntimeRunner:
    """An ONNX graph in an ONNX Runtime session.

    Raises:
        DeviceError: the device is not there, or cannot run the graph.
    """

    def __init__(
        self,
        graph: Graph,
        model: bytes,
        weights: bytes | None,  # noqa: ARG002 - ONNX carries its weights; external data is refused
        *,
        device: str,
        threads: int,
        cache_dir: Path | None,  # noqa: ARG002 - ONNX Runtime has no model cache
    ) -> None:
        provider = _PROVIDERS.get(device)
        if provider not in ort.get_available_providers():
            known = ", ".join(n for n, p in _PROVIDERS.items() if p in ort.get_available_providers())
            raise DeviceError(f"ONNX Runtime device '{device}' is not on this machine; found: {known}")
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # Else the content decides, and ONNX Runtime's own format would pass by the inspection of ONNX.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        try:
            self._session = ort.InferenceSession(model, options, providers=[provider])
        except Exception as cause:  # ONNX Runtime has no common base class for its errors
            raise DeviceError(f"ONNX Runtime cannot load {graph.id}: {cause}") from cause
        if self._session.get_providers()[0] != provider:
            raise DeviceError(f"ONNX Runtime fell back from {device}; check its driver")
        self._graph = graph

    def run(self, images: npt.NDArray[np.uint8]) -> tuple[FloatArray, ...]:
        """uint8 (N, H, W, 3) to the graph's outputs, float32 (N, h, w) each."""
        names = [tensor.name for tensor in self._graph.outputs]
        try:
            outputs = self._session.run(names, {self._graph.input.name: images})
        except Exception as cause:
            raise DeviceError(f"ONNX Runtime failed on {self._graph.id}: {cause}") from cause
        return tuple(np.asarray(output, np.float32) for output in outputs)

    def close(self) -> None:
        """Nothing to release: the session ends with its last reference."""
