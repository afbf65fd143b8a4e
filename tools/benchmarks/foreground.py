"""Cost of a foreground for a normal and for a rejected part: none, distilled, and MVANet on demand.

MVANet's graphs come from `edgeflow export --only foreground` and compute the parts' own images; the masks
that count are the bundle's distilled ones, so that weights that were never trained will do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from edgeflow.backends.registry import make_runner
from edgeflow.backends.runner import ActualPlacement, GraphRunner
from edgeflow.bundles.bundle import Bundle
from edgeflow.contracts.images import RgbImage, read_image
from edgeflow.contracts.manifest import Graph, Tensor, ViewSpec
from edgeflow.contracts.scoring import FloatArray, Masks, scaled
from edgeflow.decision.recorded_parts import find_bundle_parts
from edgeflow.errors import EdgeflowError, UsageError
from edgeflow.scoring.foreground import NetworkForeground
from edgeflow.scoring.loading import choose_graph
from edgeflow.scoring.scorer import Scorer

WARM_UP = 2
NONE, HEAD = "none", "distilled"


class MapsAlone:
    """The bundle's graph, its masks kept back."""

    def __init__(self, runner: GraphRunner) -> None:
        self._runner = runner
        self.masks: Masks = np.ones((0, 0, 0), np.uint8)

    @property
    def placement(self) -> ActualPlacement:
        return self._runner.placement

    def run(self, images: npt.NDArray[np.uint8]) -> tuple[FloatArray, ...]:
        maps, logits = self._runner.run(images)
        self.masks = (logits > 0).astype(np.uint8)
        return (maps,)

    def close(self) -> None:
        """Whoever made the runner closes it."""


class TimedNetwork:
    """Computes MVANet's mask of a view, and gives the head's."""

    costly = True

    def __init__(self, network: NetworkForeground, maps: MapsAlone) -> None:
        self._network, self._maps = network, maps

    def mask(self, view: ViewSpec, index: int, image: RgbImage) -> Masks:
        self._network.mask(view, index, image)
        mask: Masks = self._maps.masks[index]
        return mask

    def close(self) -> None:
        self._network.close()


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path, exists=True))
@click.argument("parts", type=click.Path(path_type=Path, exists=True))
@click.argument("foregrounds", nargs=-1, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--each", type=click.IntRange(min=1), default=20, show_default=True, help="Parts of each kind.")
@click.option("--json", "json_output", is_flag=True)
def main(*, bundle: Path, parts: Path, foregrounds: tuple[Path, ...], each: int, json_output: bool) -> None:
    """Score PARTS by BUNDLE, whose foreground is distilled, with masks of each folder in FOREGROUNDS."""
    console = Console(stderr=json_output, highlight=False)
    try:
        with Bundle.open(bundle) as opened, ExitStack() as stack:
            scorers = _scorers(opened, foregrounds, stack)
            normal, rejected = _sorted(opened, scorers[HEAD], parts, each)
            found = {
                kind: _measured(scorers, chosen)
                for kind, chosen in (("normal", normal), ("rejected", rejected))
            }
    except EdgeflowError as error:
        console.print(f"Error: {error}", markup=False)
        raise SystemExit(error.exit_code) from error
    if json_output:
        click.echo(json.dumps(found))
    else:
        for kind, rows in found.items():
            _print(console, kind, rows)


def _scorers(bundle: Bundle, foregrounds: Sequence[Path], stack: ExitStack) -> dict[str, Scorer]:
    graph = choose_graph(bundle, backend="openvino", precision=None)
    if graph.mask_output is None:
        raise UsageError(
            f"{bundle.path}: its foreground is not distilled; export with --foreground distilled"
        )
    weights = bundle.read(graph.weights) if graph.weights else None
    runner = make_runner(graph, bundle.read(graph.model), weights)
    stack.callback(runner.close)
    maps, statistics = MapsAlone(runner), bundle.statistics()
    thresholds = bundle.manifest.thresholds_of(graph)
    height, width = graph.output.shape[1:]
    scorers = {
        NONE: Scorer(bundle.manifest, maps, thresholds, statistics),
        HEAD: Scorer(bundle.manifest, runner, thresholds, statistics),
    }
    for folder in foregrounds:
        for entry in _graphs(folder):
            network = make_runner(
                entry, (folder / entry.model).read_bytes(), (folder / str(entry.weights)).read_bytes()
            )
            stack.callback(network.close)
            size = entry.input.shape[1]
            source = TimedNetwork(NetworkForeground(network, size, (height, width)), maps)
            scorers[f"MVANet {size} {entry.precision}"] = Scorer(
                bundle.manifest, maps, thresholds, statistics, source
            )
    return scorers


def _graphs(folder: Path) -> Iterator[Graph]:
    """The OpenVINO graphs that `edgeflow export --only foreground` wrote."""
    described = folder / "foreground.json"
    if not described.is_file():
        raise UsageError(
            f"{described}: no such file; make it with 'edgeflow export --only foreground -o {folder}'"
        )
    for form in json.loads(described.read_text())["forms"]:
        if form["backend"] == "openvino":
            model, weights = form["files"]
            yield Graph(
                backend="openvino", precision=form["precision"], model=model, weights=weights,
                input=_tensor(form["input"]), output=_tensor(form["outputs"][0]),
                measured_error=form["measured_error"], tolerance=1.0,
            )  # fmt: skip


def _tensor(described: Mapping[str, Any]) -> Tensor:
    return Tensor.model_validate_json(json.dumps(described))


def _sorted(
    bundle: Bundle, scorer: Scorer, folder: Path, each: int
) -> tuple[list[Mapping[str, RgbImage]], list[Mapping[str, RgbImage]]]:
    """Parts under and over the threshold, as camera images."""
    normal: list[Mapping[str, RgbImage]] = []
    rejected: list[Mapping[str, RgbImage]] = []
    for part in find_bundle_parts(bundle, folder):
        images = {view: read_image(path) for view, path in part.images.items()}
        over = scaled(scorer.score(images).part, scorer.thresholds.part) > 1.0
        kind = rejected if over else normal
        if len(kind) < each:
            kind.append(images)
        if len(normal) == len(rejected) == each:
            break
    if not normal or not rejected:
        raise UsageError(
            f"{folder}: {len(normal)} parts under the threshold and {len(rejected)} over it; give both"
        )
    return normal, rejected


def _measured(
    scorers: Mapping[str, Scorer], parts: Sequence[Mapping[str, RgbImage]]
) -> dict[str, dict[str, Any]]:
    """Every part by every scorer in turns; against no foreground, part by part."""
    times: dict[str, list[float]] = {name: [] for name in scorers}
    masks: dict[str, list[int]] = {name: [] for name in scorers}
    for turn, images in enumerate([*parts[:WARM_UP], *parts]):
        for name, scorer in scorers.items():
            begun_ns = perf_counter_ns()
            scores = scorer.score(images)
            if turn >= WARM_UP:
                times[name].append((perf_counter_ns() - begun_ns) / 1e6)
                masks[name].append(len(scores.masked) if name not in (NONE, HEAD) else 0)
    plain = np.array(times[NONE])
    return {
        name: {
            "parts": len(parts),
            "p50_ms": float(np.median(times[name])),
            "ratio": float(np.median(np.array(times[name]) / plain)),
            "more_p50_ms": float(np.median(np.array(times[name]) - plain)),
            "more_worst_ms": float(np.max(np.array(times[name]) - plain)),
            "masks_mean": float(np.mean(masks[name])),
            "masks_most": max(masks[name]),
        }
        for name in scorers
    }


def _print(console: Console, kind: str, rows: Mapping[str, Mapping[str, Any]]) -> None:
    title = f"{rows[NONE]['parts']} {kind} parts"
    table = Table(
        "foreground", "ms, p50", "against none", "ms more, p50", "worst", "masks, mean", "most", title=title
    )
    for name, row in rows.items():
        table.add_row(
            name,
            f"{row['p50_ms']:.0f}",
            f"{row['ratio']:.3f}",
            f"{row['more_p50_ms']:.1f}",
            f"{row['more_worst_ms']:.0f}",
            f"{row['masks_mean']:.2f}",
            str(row["masks_most"]),
        )
    console.print(table)


if __name__ == "__main__":
    main()
