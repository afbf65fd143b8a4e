"""Bundles of networks that anomalib trained, against what anomalib computes itself.

The order of a comparison, where PARTS are rendered parts (``tools/render_parts.py``)::

    PYTHONPATH=tools .venv/bin/python -m benchmarks.anomalib_compare images PARTS IMAGES
    anomalib/bin/python tools/benchmarks/anomalib_train.py IMAGES OUT
    edgeflow export --anomalib OUT/padim --parts PARTS -o padim.bundle
    PYTHONPATH=tools .venv/bin/python -m benchmarks.anomalib_compare maps PARTS OUT/padim padim.bundle

``maps`` prints, for every graph of the bundle, the largest relative error of its raw maps of the test parts
against anomalib's own, and the AUROC of views and parts from the highest pixel of each, both ways.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import numpy as np
from sklearn.metrics import roc_auc_score

from edgeflow.bundles.bundle import Bundle
from edgeflow.contracts.datasets.find_parts import RecordedPart, find_parts
from edgeflow.contracts.images import read_image
from edgeflow.contracts.parity import relative_error
from edgeflow.contracts.preprocess import reading_of
from edgeflow.contracts.scoring import FloatArray
from edgeflow.scoring.loading import make_scorer

FOLDER = click.Path(path_type=Path, exists=True)


@click.group()
def main() -> None:
    """Compare bundles with anomalib."""


@main.command()
@click.argument("parts", type=FOLDER)
@click.argument("target", type=click.Path(path_type=Path))
def images(parts: Path, target: Path) -> None:
    """Lay the images of PARTS out as anomalib reads them, all views in one folder."""
    for part in find_parts(parts):
        folder = target / str(part.split) / _kind(part)
        folder.mkdir(parents=True, exist_ok=True)
        for view, path in part.images.items():
            shutil.copy(path, folder / f"{_name(part, view)}{path.suffix}")


@main.command()
@click.argument("parts", type=FOLDER)
@click.argument("model", type=FOLDER)
@click.argument("bundle", type=FOLDER)
def maps(parts: Path, model: Path, bundle: Path) -> None:
    """Compare every graph of BUNDLE with the maps in MODEL."""
    with np.load(model / "maps.npz", allow_pickle=False) as kept:
        own = dict(zip(kept["names"].tolist(), kept["maps"], strict=True))
    tested = [part for part in find_parts(parts) if part.split == "test"]
    with Bundle.open(bundle) as opened:
        manifest = opened.manifest
        ids = manifest.view_ids
        theirs = np.stack(
            [[own[f"{_kind(part)}/{_name(part, view)}"] for view in ids] for part in tested]
        ).astype(np.float32)
        click.echo(f"anomalib: {_aurocs(theirs, tested)}")
        for graph in manifest.graphs:
            scorer = make_scorer(opened, graph)
            reading = reading_of(manifest.preprocessing)
            ours = np.stack(
                [
                    scorer.score({view: read_image(part.images[view], reading) for view in ids}).raw_maps
                    for part in tested
                ]
            )
            scorer.close()
            error = max(relative_error(a, b) for a, b in zip(ours, theirs, strict=True))
            click.echo(f"{graph.id}: largest relative map error {error:.2e}; {_aurocs(ours, tested)}")


def _aurocs(values: FloatArray, tested: list[RecordedPart]) -> str:
    """AUROC from maps (n, V, h, w)."""
    views = values.max((2, 3))
    labels = np.array([bool(part.defective) for part in tested])
    by_view = np.array([[bool(part.masks.get(view)) for view in sorted(part.images)] for part in tested])
    parts = roc_auc_score(labels, views.max(1))
    return f"part AUROC {parts:.6f}, view AUROC {roc_auc_score(by_view.ravel(), views.ravel()):.6f}"


def _kind(part: RecordedPart) -> str:
    return "defect" if part.defective else "good"


def _name(part: RecordedPart, view: str) -> str:
    return f"{part.part_id.replace('/', '-')}_{view}"


if __name__ == "__main__":
    main()
