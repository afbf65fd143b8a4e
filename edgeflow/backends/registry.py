"""Back end name → the class that runs its graphs, imported only when asked for."""

from __future__ import annotations

import importlib

from edgeflow.backends.inspect_ir import inspect_ir
from edgeflow.backends.inspect_onnx import inspect_onnx
from edgeflow.backends.runner import DEFAULT_PLACEMENT, GraphRunner, Placement
from edgeflow.contracts.manifest import Graph
from edgeflow.errors import DeviceError

__all__ = ["BACKENDS", "inspect_graph", "make_runner"]

BACKENDS = {
    "openvino": ("edgeflow.backends.openvino.runner", "OpenVinoRunner"),
    "onnxruntime": ("edgeflow.backends.onnxruntime.runner", "OnnxRuntimeRunner"),
}


def inspect_graph(graph: Graph, model: bytes, weights: bytes | None) -> None:
    """Refuse a graph that does more than compute, before a library sees it; needs no library itself.

    Raises:
        IntegrityError: it names other files, loops, or is not what its back end would read.
    """
    if graph.backend == "onnxruntime":
        inspect_onnx(model, what=graph.model)
    else:
        inspect_ir(model, weights or b"", what=graph.model)


def make_runner(
    graph: Graph,
    model: bytes,
    weights: bytes | None,
    *,
    placement: Placement = DEFAULT_PLACEMENT,
) -> GraphRunner:
    """Compile one graph.

    Raises:
        IntegrityError: the graph holds what no graph may hold; export meets this before a box does.
        DeviceError: the library or the device is not there, or it cannot compile the graph.
    """
    inspect_graph(graph, model, weights)
    module_name, class_name = BACKENDS[graph.backend]
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as cause:
        raise DeviceError(
            f"back end {graph.backend} is not installed; run: pip install 'edgeflow[{graph.backend}]'"
        ) from cause
    runner: GraphRunner = getattr(module, class_name)(graph, model, weights, placement)
    return runner
