"""Back end name → the class that runs its graphs, imported only when asked for."""

from __future__ import annotations

import importlib
from pathlib import Path

from edgeflow.bundle import Bundle
from edgeflow.contracts.manifest import Graph
from edgeflow.errors import ConfigError, DeviceError
from edgeflow.scorer import GraphRunner, Scorer

__all__ = ["BACKENDS", "choose_graph", "make_runner", "make_scorer"]

BACKENDS = {
    "openvino": ("edgeflow.backends.openvino_runner", "OpenVinoRunner"),
    "onnxruntime": ("edgeflow.backends.onnxruntime_runner", "OnnxRuntimeRunner"),
}


def choose_graph(bundle: Bundle, *, backend: str, precision: str) -> Graph:
    """The bundle's graph for a back end and precision.

    Raises:
        ConfigError: the bundle has no such graph.
    """
    for graph in bundle.manifest.graphs:
        if (graph.backend, graph.precision) == (backend, precision):
            return graph
    found = ", ".join(graph.id for graph in bundle.manifest.graphs)
    raise ConfigError(f"{bundle.path}: no graph for {backend} in {precision}; the bundle holds: {found}")


def make_runner(
    graph: Graph,
    model: bytes,
    weights: bytes | None,
    *,
    device: str = "CPU",
    threads: int = 0,
    cache_dir: Path | None = None,
) -> GraphRunner:
    """Compile one graph.

    Args:
        threads: 0 for one per core.

    Raises:
        DeviceError: the library or the device is not there, or it cannot compile the graph.
    """
    module_name, class_name = BACKENDS[graph.backend]
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as cause:
        raise DeviceError(
            f"back end {graph.backend} is not installed; run: pip install 'edgeflow[{graph.backend}]'"
        ) from cause
    runner: GraphRunner = getattr(module, class_name)(
        graph, model, weights, device=device, threads=threads, cache_dir=cache_dir
    )
    return runner


def make_scorer(
    bundle: Bundle,
    *,
    backend: str,
    precision: str,
    device: str = "CPU",
    threads: int = 0,
    cache_dir: Path | None = None,
) -> Scorer:
    """The scorer of a bundle on one device."""
    graph = choose_graph(bundle, backend=backend, precision=precision)
    weights = bundle.read(graph.weights) if graph.weights else None
    runner = make_runner(
        graph, bundle.read(graph.model), weights, device=device, threads=threads, cache_dir=cache_dir
    )
    return Scorer(bundle.manifest, runner, bundle.statistics())
