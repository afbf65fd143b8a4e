"""``edgeflow bench --choose``: the fastest graph that verifies here becomes the one that the box runs."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from edgeflow.backends.runner import Placement
from edgeflow.bundles.bundle import Bundle
from edgeflow.bundles.graph_choice import keep_choice
from edgeflow.cli.terminal.output import print_json
from edgeflow.config.box import BoxConfig, load_config
from edgeflow.diagnostics.graph_speed import GraphTimes, fastest, graph_times
from edgeflow.errors import ConfigError, DeviceError
from edgeflow.scoring.graph_order import choices_path
from edgeflow.scoring.loading import fitting_graphs

__all__ = ["choose"]


def choose(path: Path, box: Path, *, turns: int, at_most_s: float, json_output: bool) -> None:
    """Measure the bundle's graphs as the box runs them, and keep the choice in the box's state.

    Raises:
        ConfigError: the box file names a precision, or no graph fits it.
        DeviceError: no graph verifies here.
        StorageError: the choice cannot be kept.
    """
    config = load_config(box)
    runtime = config.runtime
    if runtime.precision != "auto":
        raise ConfigError(
            f"{box}: runtime.precision: {runtime.precision} names the graph, and a choice would not be "
            "followed; set runtime.precision: auto, then choose again"
        )
    placement = Placement(device=runtime.device, threads=runtime.threads, streams=runtime.streams)
    with Bundle.open(path) as bundle:
        graphs = fitting_graphs(bundle, backend=runtime.backend, precision=runtime.precision)
        times = graph_times(bundle, graphs, placement, turns=turns, at_most_s=at_most_s)
        if not times.ratios:
            raise DeviceError(
                f"{path}: no graph of it verifies here on {runtime.device}",
                problems=list(times.left_out.values()),
            )
        chosen = fastest(times)
        keep_choice(choices_path(config), bundle.sha256, chosen)
        sha256 = bundle.sha256
    if json_output:
        print_json(
            {
                "bundle": sha256,
                "chosen": chosen,
                "ratios": dict(times.ratios),
                "left_out": dict(times.left_out),
                "kept_in": str(choices_path(config)),
            }
        )
    else:
        _print(times, chosen, config, path)


def _print(times: GraphTimes, chosen: str | None, config: BoxConfig, path: Path) -> None:
    out = Console(highlight=False, markup=False, soft_wrap=True)
    first = next(iter(times.ratios))
    for name, ratio in times.ratios.items():
        out.print(f"{name}: {ratio:.2f} of the time of {first}")
    for name, why in times.left_out.items():
        out.print(f"left out: {name}: {why}")
    if chosen is None:
        out.print(f"{first} stays: no other graph is faster by a tenth; a choice made earlier is forgotten")
        return
    out.print(
        f"{chosen} is chosen for {path} on this box, and runs from the next start or reload on; kept in "
        f"{choices_path(config)}"
    )
