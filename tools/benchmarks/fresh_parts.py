"""A bundle's reduced graphs against its fp32 graph on parts that the export never saw, each on its own scale.

Usage: ``PYTHONPATH=tools python -m benchmarks.fresh_parts BUNDLE PARTS``. Figures and bounds are those of the
export's budget; nothing is refused.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from rich.progress import track

from edgeflow.bundles.bundle import Bundle
from edgeflow.contracts.datasets.find_parts import find_parts
from edgeflow.contracts.manifest import Graph
from edgeflow.decision.recorded_parts import score_parts
from edgeflow.scoring.loading import make_scorer
from edgeflow_export.data.dataset import Dataset
from edgeflow_export.data.ground_truth import GroundTruth, load_ground_truth
from edgeflow_export.quantization.accuracy_guard import Scored
from edgeflow_export.quantization.budget import Judged, allowed_flips, hold_budget
from edgeflow_export.quantization.ranking_loss import MASK_SIDE, PixelCurves, aupro_loss
from edgeflow_export.recipe import ExportSpec

_ANY = ExportSpec(
    max_score_bias=1e9,
    max_score_deviation=1e9,
    max_flip_rate=1.0,
    max_auroc_drop=1.0,
    max_aupro_drop=1.0,
    tolerance_int8=1e9,
)


@click.command()
@click.argument("path", metavar="BUNDLE", type=click.Path(path_type=Path, exists=True))
@click.argument("parts", type=click.Path(path_type=Path, exists=True))
def main(path: Path, parts: Path) -> None:
    """Print what each reduced graph of BUNDLE does to labelled PARTS."""
    with Bundle.open(path) as bundle:
        manifest = bundle.manifest
        test = tuple(
            part for part in find_parts(parts, views=manifest.view_ids) if part.defective is not None
        )
        dataset = Dataset(
            root=parts,
            views=manifest.views,
            preprocessing=manifest.preprocessing,
            training=(),
            validation=(),
            test=test,
        )
        first, *others = manifest.graphs
        reference = _judged(bundle, first, dataset)
        truth = load_ground_truth(dataset, (MASK_SIDE, MASK_SIDE))
        for graph in others:
            for sentence in _sentences(graph, _judged(bundle, graph, dataset), reference, truth):
                click.echo(f"{graph.id}: {sentence}")


def _judged(bundle: Bundle, graph: Graph, dataset: Dataset) -> Judged:
    """One graph's scores of all parts, as a box computes them."""
    scorer = make_scorer(bundle, graph)
    try:
        scored = score_parts(bundle, scorer, dataset.test)
        found = [scores for _, scores in track(scored, graph.id, len(dataset.test)) if scores is not None]
    finally:
        scorer.close()
    maps = np.stack([scores.maps for scores in found])
    return Judged(
        scored=Scored(
            maps=maps,
            masks=None,
            views=np.array([list(scores.views.values()) for scores in found], np.float32),
            parts=np.array([scores.part for scores in found], np.float32),
            defective=np.array([bool(part.defective) for part in dataset.test]),
        ),
        scale=scorer.thresholds.part,
        counted=maps,
    )


def _sentences(graph: Graph, judged: Judged, reference: Judged, truth: GroundTruth) -> list[str]:
    """The figures of the budget, with both rankings."""
    aupro = None
    if truth.has_masks:
        before, now = (PixelCurves.of(each.counted, truth) for each in (reference, judged))
        aupro = aupro_loss(now, before, truth.defective_parts)
    report = hold_budget(graph.id, judged, reference, _ANY, aupro=aupro)
    allowed = allowed_flips(report.parts, ExportSpec().max_flip_rate)
    flips = f"{report.verdict_flips} of {report.parts} verdicts differ; {allowed} are within chance"
    ranking = [f"part AUROC {report.part_auroc}, in fp32 {report.part_auroc_reference}"]
    ranking += [f"AUPRO {report.aupro}, in fp32 {report.aupro_reference}"] if aupro is not None else []
    return [flips, *ranking, *(text for text in report.sentences if "verdicts differ" not in text)]


if __name__ == "__main__":
    main()
