"""Output of ``edgeflow bench``: a table for people, JSON for programs."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from edgeflow.backends.runner import ActualPlacement, Placement
from edgeflow.bundles.bundle import Bundle
from edgeflow.cli.terminal.output import print_json
from edgeflow.cli.terminal.tables import make_table, print_table
from edgeflow.diagnostics.benchmark import (
    Candidate,
    Cost,
    ScorerContender,
    Work,
    contender_of,
    costs,
    load_parts,
    measure_in_turns,
    work_of,
)
from edgeflow.diagnostics.startup_time import measure_starts
from edgeflow.errors import ConfigError, DeviceError

__all__ = ["bench"]

STAGES = ("preprocess", "graph", "masks", "pooling")

Baselines = Callable[[Bundle], Sequence[Candidate]]
"""Makes others that take turns with a bundle's graphs; the first of them is what all are compared with."""


def bench(
    path: Path,
    *,
    device: str,
    graph_ids: Sequence[str],
    parts: Path | None,
    turns: int,
    at_most_s: float,
    threads: int,
    streams: int,
    starts: bool,
    json_output: bool,
    rivals: Baselines | None = None,
) -> None:
    """Measure graphs of a bundle in turns, then their starts, and print a table or JSON.

    Raises:
        ConfigError: the bundle has no such graph.
        DeviceError: none of the graphs can run here, or one that was named cannot.
    """
    console = Console(stderr=True, highlight=False)
    requested = Placement(device=device, threads=threads, streams=streams)
    with Bundle.open(path) as bundle:
        others = list(rivals(bundle)) if rivals is not None else []
        console.print("compiling")
        graphs, left_out = _contenders(bundle, graph_ids, requested)
        for note in left_out:
            console.print(note, markup=False)
        measured = measure_in_turns(
            [*others, *graphs],
            load_parts(bundle, parts),
            turns=turns,
            at_most_s=at_most_s,
            tell=lambda numbers: track(list(numbers), "in turns", console=console, transient=True),
        )
        base = (others or graphs)[0].name
        found = costs(measured, base)
        found = [_completed(cost, bundle, graphs, requested, parts) for cost in found]
        for contender in graphs:
            contender.scorer.close()
        if starts:
            found = list(_with_starts(found, bundle, requested, console))
        name = bundle.manifest.name
    if json_output:
        print_json(
            {
                "bundle": name,
                "machine": _machine(),
                "base": base,
                "left_out": left_out,
                "costs": [asdict(c) for c in found],
            }
        )
    else:
        _print(name, found, base)


def _contenders(
    bundle: Bundle, ids: Sequence[str], requested: Placement
) -> tuple[list[ScorerContender], list[str]]:
    """The graphs that run here; those that do not are left out, unless they were named."""
    known = {graph.id: graph for graph in bundle.manifest.graphs}
    unknown = [name for name in ids if name not in known]
    if unknown:
        raise ConfigError(
            f"{bundle.path}: no graph '{', '.join(unknown)}'; the bundle holds: {', '.join(known)}"
        )
    made, failed = [], []
    calibrated = [name for name, graph in known.items() if bundle.manifest.is_calibrated(graph)]
    for graph in (known[name] for name in ids or calibrated):
        try:
            made.append(contender_of(bundle, graph, requested))
        except DeviceError as error:
            failed.append(error)
            if ids:
                raise
    if not made:
        raise DeviceError(
            f"{bundle.path}: no graph of it runs here on {requested.device}",
            problems=[error.message for error in failed],
        )
    return made, [f"left out: {error.message}" for error in failed]


def _completed(
    cost: Cost, bundle: Bundle, graphs: Iterable[ScorerContender], requested: Placement, parts: Path | None
) -> Cost:
    """With what is known of a graph of the bundle besides its times."""
    contender = next((one for one in graphs if one.name == cost.name), None)
    if contender is None:
        return cost
    graph = next(graph for graph in bundle.manifest.graphs if graph.id == cost.name)
    work = work_of(bundle, graph, device=requested.device, threads=requested.threads)
    foreground = bundle.manifest.foreground
    mask_ms = None
    if foreground is not None and foreground.kind == "mvanet":
        mask_ms = contender.mask_ms(load_parts(bundle, parts)[0])
    return replace(
        cost,
        placement=contender.scorer.placement,
        work=work,
        peak_share=work.macs / (cost.p50_ms["graph"] / 1000) / work.peak_macs_per_s,
        mask_ms=mask_ms,
    )


def _with_starts(
    found: Iterable[Cost], bundle: Bundle, requested: Placement, console: Console
) -> Iterator[Cost]:
    graphs = {graph.id: graph for graph in bundle.manifest.graphs}
    for cost in found:
        if cost.name not in graphs:
            yield cost
            continue
        console.print(f"starting {cost.name} in a process of its own")
        started = measure_starts(bundle, graphs[cost.name], requested)
        yield replace(cost, started=started)


def _machine() -> dict[str, object]:
    return {
        "processor": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
    }


def _print(name: str, found: Sequence[Cost], base: str) -> None:
    out = Console(highlight=False, soft_wrap=True, markup=False)
    figures = (*STAGES, "p50", "p99", "parts per s", "ratio")
    table = make_table("ms per part", *figures, right=figures)
    table.padding, table.show_edge = (0, 1, 0, 0), False  # nine columns on 80 letters
    for cost in found:
        table.add_row(
            cost.name,
            *(_figure(cost.p50_ms.get(stage)) for stage in STAGES),
            _figure(cost.p50_ms["part"]),
            _figure(cost.p99_ms["part"]),
            f"{cost.parts_per_s:.1f}",
            f"{cost.ratio:.2f}",
        )
    print_table(out, table)
    if any("flow" in cost.p50_ms for cost in found):
        print_table(out, _halves_table(found, base))
    out.print(f"{name}: stages are medians; ratios are to {base}", markup=False)
    for cost in found:
        if cost.work is not None and cost.placement is not None:
            out.print(_described(cost, cost.work, cost.placement), markup=False)


def _halves_table(found: Sequence[Cost], base: str) -> Table:
    """Extractor and flow apart, of those that were run in two."""
    halves = {cost.name: cost.p50_ms for cost in found if "flow" in cost.p50_ms}
    figures = ("features", "ratio", "flow", "ratio", "both", "ratio")
    table = make_table("ms per part", *figures, right=figures)
    for name, ms in halves.items():
        row = []
        for stage in ("features", "flow", "graph"):
            row += [_figure(ms[stage]), f"{ms[stage] / halves[base][stage]:.2f}"]
        table.add_row(name, *row)
    return table


def _described(cost: Cost, work: Work, place: ActualPlacement) -> str:
    """Sentences about one graph that the table has no room for."""
    threads = f"{place.threads} threads, " if place.threads else ""
    streams = "1 stream" if place.streams == 1 else f"{place.streams} streams"
    text = (
        f"{cost.name} on {place.device} ({threads}{streams}, {place.precision}): "
        f"{work.macs / 1e9:.2f} GMAC at {cost.peak_share:.0%} of the machine's peak "
        f"({work.peak_macs_per_s / 1e9:.0f} GMAC/s); "
        f"{cost.overhead:.1%} on top of the graphs"
    )
    if cost.mask_ms is not None:
        text += f"; a foreground mask takes {cost.mask_ms:.0f} ms"
    if cost.started is not None:
        first, warm = cost.started.first, cost.started.warm
        text += f"; ready {first.ready_s:.1f} s after its start"
        text += f", {warm.ready_s:.1f} s with a warm model cache" if warm else ""
        text += f"; peak memory {(warm or first).peak_mb:.0f} MB"
        text += f" ({first.peak_mb:.0f} MB where it compiles)" if warm else ""
    return text


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}" if value < 100 else f"{value:.0f}"
