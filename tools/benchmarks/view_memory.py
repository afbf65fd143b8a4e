"""Memory of one bundle on a box: what its load adds, what parts add to that, and the highest point.

Usage: ``PYTHONPATH=tools python -m benchmarks.view_memory BUNDLE IMAGE…``. Each back end is measured in a
process of its own. IMAGE is what the cameras give, one file for all views or one for each. "as the box
counts" is the figure of ``edgeflow ctl BOX status`` for a product, which ``runtime.memory_mb`` bounds.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from edgeflow.bundles.bundle import Bundle
from edgeflow.contracts.images import read_image
from edgeflow.contracts.preprocess import reading_of
from edgeflow.diagnostics.peak_memory import own_peak_bytes
from edgeflow.metrics.system import resident_bytes
from edgeflow.scoring.loading import choose_graph, make_scorer
from edgeflow.scoring.verification import verify_scorer
from edgeflow.station.products.memory import import_library

BACKENDS = ("openvino", "onnxruntime")
SCORED = 3
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("bundle", type=FILE)
@click.argument("images", type=FILE, nargs=-1, required=True)
@click.option("--backend", type=click.Choice(BACKENDS), help="Measure this process with it, print JSON.")
def main(bundle: Path, images: tuple[Path, ...], backend: str | None) -> None:
    """Measure every back end of BUNDLE."""
    if backend is not None:
        print(json.dumps(_measured(bundle, images, backend)))
        return
    table = Table("back end", "as the box counts", "after parts", "highest", title=f"{bundle.name}, MB")
    for name in BACKENDS:
        command = [sys.executable, "-m", "benchmarks.view_memory", str(bundle), *map(str, images)]
        done = subprocess.run([*command, "--backend", name], stdout=subprocess.PIPE, text=True, check=True)
        told = json.loads(done.stdout)
        table.add_row(name, *(f"{told[key]:.0f}" for key in ("counted_mb", "after_mb", "highest_mb")))
    Console().print(table)


def _measured(path: Path, images: tuple[Path, ...], backend: str) -> dict[str, float]:
    import_library(backend)
    with Bundle.open(path) as bundle:
        graph = choose_graph(bundle, backend=backend, precision="fp32")
        views, reading = bundle.manifest.view_ids, reading_of(bundle.manifest.preprocessing)
        part = {view: read_image(images[index % len(images)], reading) for index, view in enumerate(views)}
        before = resident_bytes()
        Path("/proc/self/clear_refs").write_text("5")  # the system's highest point counts from here
        scorer = make_scorer(bundle, graph)
        verify_scorer(bundle, graph, scorer, ask="some")
        counted = resident_bytes() - before
        for _ in range(SCORED):
            scorer.score(part)
        after, highest = resident_bytes() - before, own_peak_bytes() - before
        scorer.close()
    return {"counted_mb": counted / 1e6, "after_mb": after / 1e6, "highest_mb": highest / 1e6}


if __name__ == "__main__":
    main()
