"""A bundle's graph, compiled on one device, as a scorer."""

from __future__ import annotations

from collections.abc import Callable

from edgeflow.backends.registry import make_runner
from edgeflow.backends.runner import DEFAULT_PLACEMENT, GraphRunner, Placement
from edgeflow.bundles.bundle import Bundle
from edgeflow.contracts.manifest import Graph, Thresholds
from edgeflow.errors import ConfigError
from edgeflow.scoring.foreground import FixedForeground, ForegroundSource, NetworkForeground
from edgeflow.scoring.scorer import Scorer

__all__ = ["choose_graph", "fitting_graphs", "make_scorer", "open_scorer"]


PREFERRED = ("int8", "bf16", "fp32")
"""Precisions, the one to take first where the user names none."""


def choose_graph(bundle: Bundle, *, backend: str | None, precision: str | None) -> Graph:
    """The bundle's graph for a back end and precision; of several that fit, the most reduced one.

    Args:
        backend: None for the first that the bundle has.
        precision: None, or ``auto``, for int8 where the bundle has it, else bf16, else fp32.

    Raises:
        ConfigError: the bundle has no such graph, or none with thresholds.
    """
    return fitting_graphs(bundle, backend=backend, precision=precision)[0]


def fitting_graphs(bundle: Bundle, *, backend: str | None, precision: str | None) -> tuple[Graph, ...]:
    """The graphs that :func:`choose_graph` chooses from, in the order of choice; at least one.

    The precisions in the order of ``PREFERRED``; of one precision in the order of the manifest.
    """
    manifest = bundle.manifest
    fitting = [
        graph
        for graph in manifest.graphs
        if backend in (None, graph.backend) and precision in (None, "auto", graph.precision)
    ]
    if not fitting:
        found = ", ".join(graph.id for graph in manifest.graphs)
        wanted = " in ".join(name for name in (backend, precision) if name is not None)
        raise ConfigError(f"{bundle.path}: no graph for {wanted}; the bundle holds: {found}")
    calibrated = [graph for graph in fitting if manifest.is_calibrated(graph)]
    if not calibrated:
        manifest.thresholds_of(fitting[0])  # says why there are none
    return tuple(sorted(calibrated, key=lambda graph: PREFERRED.index(graph.precision)))


def open_scorer(
    bundle: Bundle, *, backend: str | None = None, precision: str | None = None, device: str = "CPU"
) -> Scorer:
    """The scorer of the bundle's graph for a back end and precision, chosen by :func:`choose_graph`.

    Raises:
        ConfigError: the bundle has no such graph.
        DeviceError: the graph cannot run on this device.
    """
    graph = choose_graph(bundle, backend=backend, precision=precision)
    return make_scorer(bundle, graph, placement=Placement(device=device))


def make_scorer(
    bundle: Bundle,
    graph: Graph,
    *,
    placement: Placement = DEFAULT_PLACEMENT,
    thresholds: Thresholds | None = None,
) -> Scorer:
    """The scorer of a bundle on one device, with its foreground where it has one.

    Args:
        graph: one of the bundle's anomaly graphs; see :func:`choose_graph`.
        thresholds: default: the graph's own. Only where new ones are made may it have none yet.

    Raises:
        ConfigError: the graph has no thresholds.
        DeviceError: the graph cannot run on this device.
    """
    if thresholds is None:
        thresholds = bundle.manifest.thresholds_of(graph)

    def runner_of(entry: Graph) -> GraphRunner:
        weights = bundle.read(entry.weights) if entry.weights else None
        return make_runner(entry, bundle.read(entry.model), weights, placement=placement)

    foreground = _foreground(bundle, graph, runner_of)
    return Scorer(bundle.manifest, runner_of(graph), thresholds, bundle.statistics(), foreground)


def _foreground(
    bundle: Bundle, graph: Graph, runner_of: Callable[[Graph], GraphRunner]
) -> ForegroundSource | None:
    """Return the source of masks; None if every pixel counts, or if the graph itself computes them."""
    spec = bundle.manifest.foreground
    if spec is None or spec.kind == "distilled":
        return None
    if spec.kind == "fixed":
        return FixedForeground(bundle.fixed_masks())
    for network in spec.graphs:
        if network.backend == graph.backend and spec.size is not None:
            height, width = graph.output.shape[1:]
            return NetworkForeground(runner_of(network), spec.size, (height, width))
    raise ConfigError(f"{bundle.path}: no foreground graph for {graph.backend}; export with this back end")
