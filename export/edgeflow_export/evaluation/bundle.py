"""Figures of merit of a bundle's graph, scored as a box scores parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgeflow.backends.runner import Placement
from edgeflow.bundles.bundle import Bundle
from edgeflow.calibration.next_version import reference_graph
from edgeflow.contracts.datasets.find_parts import RecordedPart, find_parts
from edgeflow.contracts.datasets.recipe_choices import recipe_choices
from edgeflow.contracts.manifest import Manifest
from edgeflow.decision.recorded_parts import doubtful_depth, score_parts
from edgeflow.errors import DataError, UsageError
from edgeflow.scoring.loading import make_scorer
from edgeflow.scoring.scorer import Scorer
from edgeflow_export.data.dataset import Dataset, require_test_parts
from edgeflow_export.data.ground_truth import load_ground_truth
from edgeflow_export.data.splitting import with_unannotated
from edgeflow_export.evaluation.evaluate import MASK_SIZE, Evaluation
from edgeflow_export.evaluation.metrics import ScoredParts, measure
from edgeflow_export.evaluation.report import ModelIdentity
from edgeflow_export.progress import announce, progress_bar

__all__ = ["evaluate_bundle"]


def evaluate_bundle(
    path: Path,
    *,
    parts: Path | None,
    class_name: str | None = None,
    graph_id: str | None = None,
    device: str = "CPU",
    progress: bool = True,
) -> Evaluation:
    """Evaluate one graph of a bundle, with its own thresholds, on labelled parts.

    Args:
        parts: folder of labelled parts; of a data set with splits only the test parts count.
        graph_id: default: the bundle's first, in fp32.

    Raises:
        UsageError: no parts named, or no such bundle or graph.
        DataError: no labelled parts of both kinds, unreadable ones, or a score that is not finite.
        IntegrityError, DeviceError: the bundle is damaged, or its graph cannot run here.
    """
    if parts is None:
        raise UsageError(f"{path}: a bundle does not say where parts lie; name a folder with --parts")
    with Bundle.open(path) as bundle:
        manifest = bundle.manifest
        graph = reference_graph(manifest, graph_id)
        dataset = _dataset(manifest, parts, class_name)
        require_test_parts(dataset)
        if doubt := doubtful_depth(bundle, dataset.test):
            announce(f"warning: {doubt}", enabled=True)
        truth = load_ground_truth(dataset, MASK_SIZE)
        scorer = make_scorer(bundle, graph, placement=Placement(device=device))
        try:
            scored = _scored(bundle, scorer, dataset.test, progress=progress)
        finally:
            scorer.close()
        report = measure(
            scored,
            truth,
            _identity(bundle, path, graph.id),
            manifest.scoring,
            manifest.thresholds_of(graph),
            parts_root=str(parts),
        )
    return Evaluation(report=report, model=None, dataset=dataset, truth=truth, scored=scored)


def _dataset(manifest: Manifest, root: Path, class_name: str | None) -> Dataset:
    """The labelled test parts below a folder, seen as the bundle sees them."""
    choices = recipe_choices(manifest.recipe, root)
    found = with_unannotated(
        find_parts(
            root,
            class_name=class_name,
            views=manifest.view_ids,
            layout=choices.layout,
            split=choices.split,
        ),
        "normal" if choices.unannotated == "normal" else "left_out",
        root,
    )
    test = tuple(part for part in found if part.split != "train" and part.defective is not None)
    return Dataset(
        root=root,
        views=manifest.views,
        preprocessing=manifest.preprocessing,
        training=(),
        validation=(),
        test=test,
    )


def _scored(
    bundle: Bundle, scorer: Scorer, parts: tuple[RecordedPart, ...], *, progress: bool
) -> ScoredParts:
    maps, views, scores, problems = [], [], [], []
    with progress_bar(enabled=progress) as bar:
        task = bar.add_task("test parts", total=len(parts), note="")
        for judged, found in score_parts(bundle, scorer, parts):
            bar.update(task, advance=1)
            if found is None or judged.score is None:
                problems.append(f"part {judged.part_id}: {judged.reason}")
                continue
            maps.append(found.maps)
            views.append(list(found.views.values()))
            scores.append(found.part)
    if problems:
        raise DataError(f"{len(problems)} part(s) cannot be scored", problems=problems)
    return ScoredParts(
        maps=np.stack(maps), views=np.array(views, np.float32), parts=np.array(scores, np.float32)
    )


def _identity(bundle: Bundle, path: Path, graph_id: str) -> ModelIdentity:
    recipe = bundle.manifest.recipe
    flow, data = recipe.get("flow"), recipe.get("data")
    return ModelIdentity(
        checkpoint=str(path),
        sha256=bundle.sha256,
        name=bundle.manifest.name,
        class_name=data.get("class_name") if isinstance(data, dict) else None,
        graph=str(flow.get("graph", "")) if isinstance(flow, dict) else "",
        executed=graph_id,
        views=bundle.manifest.view_ids,
        provenance=bundle.manifest.provenance,
    )
