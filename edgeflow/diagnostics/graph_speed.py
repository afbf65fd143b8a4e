"""Speed of a bundle's graphs on this box: whether another one than the one that runs is faster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from edgeflow.backends.runner import Placement
from edgeflow.bundles.bundle import Bundle
from edgeflow.bundles.trust import is_new_here, open_admitted
from edgeflow.clock import utc_now
from edgeflow.commands.control_socket import ask
from edgeflow.config.box import BoxConfig
from edgeflow.contracts.manifest import Graph
from edgeflow.diagnostics.benchmark import ScorerContender, Turns, contender_of, load_parts, measure_in_turns
from edgeflow.diagnostics.findings import Finding, ok, warning
from edgeflow.errors import EdgeflowError, HardwareError, ParityError
from edgeflow.scoring.graph_order import graph_order
from edgeflow.scoring.loading import fitting_graphs
from edgeflow.scoring.verification import verify_scorer

__all__ = ["FASTER", "GraphTimes", "fastest", "graph_times", "speed_findings"]

FASTER = 0.9
"""Another graph is faster where it takes at most this share of the time."""
_TURNS, _AT_MOST_S = 15, 2.0
_NAME = "graph"


@dataclass(frozen=True, kw_only=True)
class GraphTimes:
    """Graphs that verify on this device, with their times.

    Attributes:
        ratios: graph → its time as a share of the first one's, the median of turns; the first is 1.
        left_out: graph → why it was not measured.
    """

    ratios: Mapping[str, float]
    left_out: Mapping[str, str]


def graph_times(
    bundle: Bundle,
    graphs: Sequence[Graph],
    placement: Placement,
    *,
    turns: int = _TURNS,
    at_most_s: float = _AT_MOST_S,
) -> GraphTimes:
    """Measure graphs in turns on the golden parts; those that do not reproduce them are left out."""
    made: list[ScorerContender] = []
    left_out: dict[str, str] = {}
    try:
        for graph in graphs:
            try:
                contender = contender_of(bundle, graph, placement)
                made.append(contender)
                verify_scorer(bundle, graph, contender.scorer, ask="some")
            except ParityError as error:
                made.pop().scorer.close()
                left_out[graph.id] = error.message
            except EdgeflowError as error:
                left_out[graph.id] = error.message
        turned = (
            measure_in_turns(made, load_parts(bundle, None), turns=turns, at_most_s=at_most_s) if made else {}
        )
    finally:
        for contender in made:
            contender.scorer.close()
    return GraphTimes(ratios=_ratios(turned), left_out=left_out)


def fastest(times: GraphTimes) -> str | None:
    """The fastest graph, if it is faster than the first by a tenth or more; else None."""
    if not times.ratios:
        return None
    best = min(times.ratios, key=lambda name: times.ratios[name])
    return best if times.ratios[best] <= FASTER else None


def speed_findings(config: BoxConfig) -> list[Finding]:
    """Say where another graph of the bundle is faster here, and where a choice is not followed.

    Nothing is measured while the box runs, which would take the line's time, nor of a bundle that has not
    run here: its graphs are verified in a process with limits first. What is wrong with the bundle itself is
    another check's.
    """
    product = config.product or next(iter(config.products or ()), None)
    with suppress(EdgeflowError), open_admitted(config.bundle, config.trust, utc_now(), product) as bundle:
        order = graph_order(bundle, config)
        found = [warning(_NAME, note) for note in order.notes]
        every = fitting_graphs(bundle, backend=config.runtime.backend, precision=None)
        graphs = [order.first, *(graph for graph in every if graph.id != order.first.id)]
        if len(graphs) == 1:
            return found
        if is_new_here(bundle, config.trust, product):
            return [*found, ok(_NAME, f"{order.first.id}; speeds are compared once the bundle has run here")]
        if _runs(config):
            return [*found, ok(_NAME, "speeds are not compared while the box runs")]
        runtime = config.runtime
        placement = Placement(device=runtime.device, threads=runtime.threads, streams=runtime.streams)
        return [*found, *_told(graph_times(bundle, graphs, placement), order.first, config)]
    return []


def _told(times: GraphTimes, first: Graph, config: BoxConfig) -> list[Finding]:
    left_out = [warning(_NAME, f"{name} does not run here: {why}") for name, why in times.left_out.items()]
    best = fastest(times)
    if best is None or first.id not in times.ratios:
        return left_out or [ok(_NAME, f"{first.id}; no other graph of the bundle is faster here")]
    ratio = times.ratios[best]
    how = f"'edgeflow bench {config.bundle} --choose BOX' makes it the one that runs"
    if config.runtime.precision != "auto":
        how = f"set runtime.precision: auto; then {how}"
    return [*left_out, warning(_NAME, f"{best} takes {ratio:.2f} of the time of {first.id} here; {how}")]


def _ratios(turned: Turns) -> dict[str, float]:
    if not turned:
        return {}
    parts = {name: np.array([turn["part"] for turn in turns]) for name, turns in turned.items()}
    base = next(iter(parts.values()))
    return {name: float(np.median(ns / base)) for name, ns in parts.items()}


def _runs(config: BoxConfig) -> bool:
    try:
        ask(config.control_socket, "status", {})
    except HardwareError:
        return False
    except EdgeflowError:
        return True
    return True
