"""Graphs on ONNX Runtime: one named execution provider, precision pinned, no silent fallback."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from edgeflow.backends.runner import ActualPlacement, Placement
from edgeflow.contracts.manifest import Graph
from edgeflow.contracts.scoring import FloatArray
from edgeflow.errors import DeviceError

__all__ = ["OnnxRuntimeRunner", "open_session"]

# Name → provider and the options that keep it from computing in less than the graph says.
_PROVIDERS: dict[str, tuple[str, dict[str, str]]] = {
    "CPU": ("CPUExecutionProvider", {}),
    "CUDA": ("CUDAExecutionProvider", {"use_tf32": "0"}),
    "TENSORRT": ("TensorrtExecutionProvider", {"trt_fp16_enable": "0", "trt_bf16_enable": "0"}),
    "MIGRAPHX": ("MIGraphXExecutionProvider", {"migraphx_fp16_enable": "0"}),
    "DML": ("DmlExecutionProvider", {}),
    "XNNPACK": ("XnnpackExecutionProvider", {}),
    "ACL": ("ACLExecutionProvider", {"enable_fast_math": "false"}),
}


class OnnxRuntimeRunner:
    """An ONNX graph in an ONNX Runtime session.

    Args:
        placement: its cache folder is not used; ONNX Runtime has no model cache.

    Raises:
        DeviceError: the device is not there, or cannot run the whole graph.
    """

    def __init__(
        self,
        graph: Graph,
        model: bytes,
        weights: bytes | None,  # noqa: ARG002 - ONNX carries its weights; external data is refused
        placement: Placement,
    ) -> None:
        try:
            self._session = open_session(model, placement)
        except DeviceError:
            raise
        except Exception as cause:  # ONNX Runtime has no common base class for its errors
            raise DeviceError(
                f"ONNX Runtime cannot load {graph.id} on {placement.device}: {cause}"
            ) from cause
        self._graph = graph
        cores = len(os.sched_getaffinity(0))
        self._placement = ActualPlacement(
            device=placement.device,
            precision="f32",
            threads=(placement.threads or cores) if placement.device == "CPU" else 0,
            streams=placement.streams,
        )

    @property
    def placement(self) -> ActualPlacement:
        """Device and settings with which the graph really runs."""
        return self._placement

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


def open_session(model: bytes, placement: Placement) -> ort.InferenceSession:
    """A session on one execution provider.

    Raises:
        DeviceError: the device is not there.
        Exception: ONNX Runtime cannot load the model there.
    """
    provider, pinned = _provider(placement.device)
    options = _options(placement)
    session = ort.InferenceSession(model, options, providers=[(provider, pinned)])
    # A provider whose libraries are missing is passed over with a line in the log.
    if session.get_providers()[0] != provider:
        taken = _name(session.get_providers()[0])
        raise DeviceError(
            f"ONNX Runtime device '{placement.device}' did not load, {taken} would run instead; check "
            f"its driver and libraries, or ask for {taken}"
        )
    return session


def _provider(device: str) -> tuple[str, dict[str, str]]:
    provider, pinned = _PROVIDERS.get(device, ("", {}))
    available = ort.get_available_providers()
    if provider not in available:
        known = ", ".join(name for name, (found, _) in _PROVIDERS.items() if found in available)
        raise DeviceError(
            f"ONNX Runtime device '{device}' is not on this machine; found: {known}; install the "
            "onnxruntime package that has it, or name another with --device or runtime.device"
        )
    return provider, pinned


def _options(placement: Placement) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = placement.threads
    if placement.streams > 1:
        options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
        options.inter_op_num_threads = placement.streams
    options.log_severity_level = 3
    # A plan takes memory beside what the first run took: up to twice as much, and it is no faster.
    options.enable_mem_pattern = False
    # Else the content decides, and ONNX Runtime's own format would pass by the inspection of ONNX.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    options.add_session_config_entry("mlas.enable_gemm_fastmath_arm64_bfloat16", "0")
    if placement.device != "CPU":
        # What the device lacks would run on the processor without a word.
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    return options


def _name(provider: str) -> str:
    return next((name for name, (found, _) in _PROVIDERS.items() if found == provider), provider)
