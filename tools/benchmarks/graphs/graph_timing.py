"""OpenVINO graphs timed in turns in one process, by wall clock and by processor time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import openvino as ov

__all__ = ["Timing", "operations", "random_images", "timed_in_turns"]

WARM_UP = 3


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One graph's times.

    Attributes:
        wall_ms, cpu_ms: medians of one run.
        ratio: median of its time over the first graph's in the same turn, by processor time.
        ratio_wall: the same by wall clock.
    """

    wall_ms: float
    cpu_ms: float
    ratio: float
    ratio_wall: float


def timed_in_turns(models: Mapping[str, ov.Model], *, threads: int, turns: int) -> dict[str, Timing]:
    """Time graphs with inputs of their own shape; every turn runs each of them once."""
    requests = {name: _request(model, threads) for name, model in models.items()}
    inputs = {name: random_images(model) for name, model in models.items()}
    wall = {name: np.empty(turns) for name in models}
    cpu = {name: np.empty(turns) for name in models}
    for turn in range(-WARM_UP, turns):
        for name, request in requests.items():
            begun_ns, cpu_ns = time.perf_counter_ns(), time.process_time_ns()
            request.infer({0: inputs[name]}, share_inputs=True)
            if turn >= 0:
                cpu[name][turn] = (time.process_time_ns() - cpu_ns) / 1e6
                wall[name][turn] = (time.perf_counter_ns() - begun_ns) / 1e6
    first = next(iter(models))
    return {
        name: Timing(
            wall_ms=float(np.median(wall[name])),
            cpu_ms=float(np.median(cpu[name])),
            ratio=float(np.median(cpu[name] / cpu[first])),
            ratio_wall=float(np.median(wall[name] / wall[first])),
        )
        for name in models
    }


def operations(model: ov.Model, *, runs: int = 30) -> list[tuple[str, str, float]]:
    """Every operation that takes time on one thread: kind, name and median in ms, longest first."""
    request = _request(model, 1, PERF_COUNT=True)
    images = random_images(model)
    found: dict[tuple[str, str], list[float]] = {}
    for run in range(-WARM_UP, runs):
        request.infer({0: images}, share_inputs=True)
        for item in request.profiling_info if run >= 0 else ():
            seconds = item.real_time.total_seconds()
            if seconds:
                found.setdefault((f"{item.node_type} {item.exec_type}", item.node_name), []).append(seconds)
    rows = [(kind, name, 1e3 * float(np.median(times))) for (kind, name), times in found.items()]
    return sorted(rows, key=lambda row: -row[2])


def random_images(model: ov.Model) -> np.ndarray:
    """Input of a graph's shape and type."""
    port, rng = model.input(0), np.random.default_rng(0)
    if port.get_element_type() == ov.Type.u8:
        return rng.integers(0, 256, list(port.shape), np.uint8)
    return rng.normal(size=list(port.shape)).astype(np.float32)


def _request(model: ov.Model, threads: int, **more: object) -> ov.InferRequest:
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        **more,
    }
    return ov.Core().compile_model(model, "CPU", settings).create_infer_request()
