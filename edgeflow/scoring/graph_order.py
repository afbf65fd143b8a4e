"""The order in which a box tries a bundle's graphs: the first that verifies on its device runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeflow.bundles.bundle import Bundle
from edgeflow.bundles.graph_choice import CHOICES_NAME, read_choices
from edgeflow.config.box import BoxConfig
from edgeflow.contracts.manifest import Graph
from edgeflow.contracts.messages import GraphChosenBy
from edgeflow.errors import StorageError
from edgeflow.scoring.loading import fitting_graphs

__all__ = ["GraphOrder", "choices_path", "graph_order"]


@dataclass(frozen=True, kw_only=True)
class GraphOrder:
    """Graphs of a bundle that a box may run.

    Attributes:
        graphs: in the order of trying; at least one.
        chosen_by: why the first is the first.
        notes: why a choice that was made is not followed.
    """

    graphs: tuple[Graph, ...]
    chosen_by: GraphChosenBy
    notes: tuple[str, ...] = ()

    @property
    def first(self) -> Graph:
        """The graph that runs if it verifies."""
        return self.graphs[0]


def choices_path(config: BoxConfig) -> Path:
    """The box's file of chosen graphs, beside the outbox."""
    return config.outbox.path.with_name(CHOICES_NAME)


def graph_order(bundle: Bundle, config: BoxConfig) -> GraphOrder:
    """Order the graphs that fit the box file's ``runtime``.

    ``precision: auto`` takes int8 first, then bf16, then fp32, but first of all the graph that was chosen for
    this bundle on this box. A precision that the box file names is the only one, whatever was chosen.

    Raises:
        ConfigError: no graph fits, or none that fits has thresholds.
    """
    runtime = config.runtime
    graphs = fitting_graphs(bundle, backend=runtime.backend, precision=runtime.precision)
    chosen, notes = _chosen(bundle, choices_path(config))
    named = runtime.precision != "auto"
    if chosen is None:
        return GraphOrder(graphs=graphs, chosen_by="box_file" if named else "order", notes=notes)
    if chosen == graphs[0].id and named:
        return GraphOrder(graphs=graphs, chosen_by="box_file")
    first = [graph for graph in graphs if graph.id == chosen]
    if first:
        others = tuple(graph for graph in graphs if graph.id != chosen)
        return GraphOrder(graphs=(*first, *others), chosen_by="bench")
    why = _why_not(bundle, chosen, config)
    note = f"{chosen} was chosen for this bundle here, but {why}; {graphs[0].id} runs"
    return GraphOrder(graphs=graphs, chosen_by="box_file" if named else "order", notes=(note,))


def _chosen(bundle: Bundle, path: Path) -> tuple[str | None, tuple[str, ...]]:
    """The id that was chosen for this bundle; a file that cannot be read stops no line."""
    try:
        bundles = read_choices(path).bundles
    except StorageError as error:
        return None, (error.message,)
    chosen = bundles.get(bundle.sha256)
    if chosen is None and bundles:
        return None, (f"{path}: what was chosen there is for other bundles, and is not followed",)
    return chosen, ()


def _why_not(bundle: Bundle, chosen: str, config: BoxConfig) -> str:
    manifest, runtime = bundle.manifest, config.runtime
    graph = next((graph for graph in manifest.graphs if graph.id == chosen), None)
    if graph is None:
        return "the bundle holds no such graph"
    if not manifest.is_calibrated(graph):
        return "it has no thresholds, because it could not run where the bundle was calibrated"
    return f"the box file says runtime.backend: {runtime.backend}, runtime.precision: {runtime.precision}"
