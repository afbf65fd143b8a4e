"""Five views through FastFlow-ResNet18 at 256x256 in INT8, as anomalib builds it, against a bundle's graph.

``export`` needs anomalib, which is no dependency of this program; it gets an environment of its own::

    python3 -m venv fastflow && fastflow/bin/pip install 'anomalib>=2.7' nncf -e '.[openvino]'
    PYTHONPATH=tools fastflow/bin/python -m benchmarks.anomalib_fastflow export fastflow.xml

``compare`` needs the graph alone, and times both in turns of ten parts in one process::

    PYTHONPATH=tools .venv/bin/python -m benchmarks.anomalib_fastflow compare fastflow.xml

Backbone and flow are untrained, and nothing is downloaded: the time does not depend on the weights.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import click
import numpy as np
import openvino as ov

from edgeflow.backends.runner import Placement
from edgeflow.bundles.bundle import Bundle
from edgeflow.diagnostics.benchmark import contender_of, load_parts
from edgeflow.scoring.loading import choose_graph

SIDE, VIEWS = 256, 5
_CALIBRATION_IMAGES = 32
_FIRST, _TIMED = 3, 10  # parts of a turn: unmeasured, measured
DEMO = Path(__file__).resolve().parents[1] / "demo"


@click.group()
def main() -> None:
    """Compare a bundle with what a user would pick instead."""


@main.command()
@click.argument("target", type=click.Path(path_type=Path))
def export(target: Path) -> None:
    """Write the INT8 graph to TARGET (.xml), quantized by NNCF as it does by default."""
    torch, nncf = importlib.import_module("torch"), importlib.import_module("nncf")
    fastflow = importlib.import_module("anomalib.models.image.fastflow.torch_model").FastflowModel
    torch.manual_seed(0)
    flow = fastflow(input_size=(SIDE, SIDE), backbone="resnet18", pre_trained=False)

    class Network(torch.nn.Module):  # type: ignore[name-defined,misc]
        """Score and map alone: what is absent in a named tuple cannot be traced."""

        def __init__(self) -> None:
            super().__init__()
            self.flow = flow

        def forward(self, image: Any) -> tuple[Any, Any]:
            found = self.flow(image)
            return found.pred_score, found.anomaly_map

    network = Network().eval()
    generator = torch.Generator().manual_seed(1)
    images = [torch.rand((1, 3, SIDE, SIDE), generator=generator) for _ in range(_CALIBRATION_IMAGES)]
    graph = ov.convert_model(network, example_input=images[0], input=[1, 3, SIDE, SIDE])
    quantized = nncf.quantize(graph, nncf.Dataset(images, lambda image: image.numpy()))
    ov.save_model(quantized, target)
    click.echo(f"{target}: {len(quantized.get_ops())} operations")


@main.command()
@click.argument("graph", type=click.Path(path_type=Path, exists=True))
@click.option("--bundle", type=click.Path(path_type=Path, exists=True), default=DEMO / "housing.bundle")
@click.option("--parts", type=click.Path(path_type=Path, exists=True), default=DEMO / "parts")
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--turns", type=click.IntRange(min=3), default=12, show_default=True)
@click.option("--json", "json_output", is_flag=True)
def compare(graph: Path, bundle: Path, parts: Path, threads: int, turns: int, json_output: bool) -> None:
    """Time a whole part of the bundle, preprocessing and scores included, against five runs of GRAPH."""
    with Bundle.open(bundle) as opened:
        chosen = choose_graph(opened, backend="openvino", precision="auto")
        ours = contender_of(opened, chosen, Placement(device="CPU", threads=threads))
        images = load_parts(opened, parts)
        theirs = _view_by_view(graph, threads)
        figures = _in_turns(ours.score, theirs, images, turns)
    figures |= {"threads": threads}
    click.echo(
        json.dumps(figures)
        if json_output
        else f"FastFlow-R18 INT8 {figures['fastflow_ms']:.1f} ms per part, {chosen.id} of {bundle.name} "
        f"{figures['bundle_ms']:.1f} ms: ratio {figures['ratio']:.3f} (CPU time {figures['cpu_ratio']:.3f}), "
        f"{threads} threads"
    )


def _view_by_view(graph: Path, threads: int) -> Callable[[Any], None]:
    """The graph compiled for latency; runs it for one view after the other."""
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    request = ov.Core().compile_model(graph, "CPU", settings).create_infer_request()
    image = np.random.default_rng(0).random((1, 3, SIDE, SIDE), np.float32)

    def run(_part: Any) -> None:
        for _ in range(VIEWS):
            request.infer({0: image}, share_inputs=True)

    return run


def _in_turns(
    ours: Callable[[Any], object], theirs: Callable[[Any], object], parts: Any, turns: int
) -> dict[str, float]:
    """Medians, and the medians of the ratios of all turns.

    A turn is ten parts of one after the other, as on a box that runs nothing else: after the other's part the
    processor's caches hold nothing of a model, which costs the small one more.
    """
    pairs = [[_turn(run, parts) for run in (ours, theirs)] for _ in range(turns)]
    return {
        "bundle_ms": median(own[0] for own, _ in pairs),
        "fastflow_ms": median(other[0] for _, other in pairs),
        "ratio": median(own[0] / other[0] for own, other in pairs),
        "cpu_ratio": median(own[1] / other[1] for own, other in pairs),
    }


def _turn(run: Callable[[Any], object], parts: Any) -> tuple[float, float]:
    """Milliseconds and processor milliseconds of a part, medians of a turn without its first parts."""
    wall_ms, cpu_ms = [], []
    for number in range(_FIRST + _TIMED):
        begun_s, cpu_s = perf_counter(), process_time()
        run(parts[number % len(parts)])
        wall_ms.append(1e3 * (perf_counter() - begun_s))
        cpu_ms.append(1e3 * (process_time() - cpu_s))
    return median(wall_ms[_FIRST:]), median(cpu_ms[_FIRST:])


if __name__ == "__main__":
    main()
