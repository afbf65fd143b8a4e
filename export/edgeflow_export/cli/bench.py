"""``edgeflow bench --against``: a bundle's graphs beside the naive export of the model they were made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np

from edgeflow.backends.openvino.core import openvino_core
from edgeflow.backends.openvino.split_graph import cut
from edgeflow.bundles.bundle import Bundle
from edgeflow.cli.bench_report import bench
from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.manifest import Graph, Manifest
from edgeflow.contracts.parity import relative_error
from edgeflow.contracts.preprocess import prepare
from edgeflow.diagnostics.benchmark import Candidate
from edgeflow.errors import CheckpointError
from edgeflow_export.checkpoints.checkpoint import TrainedModel
from edgeflow_export.checkpoints.model_source import ModelSource, load_model
from edgeflow_export.conversion.naive_baseline import Naive, compile_for_bench
from edgeflow_export.recipe import load_recipe

__all__ = ["Halves", "bench_against", "rivals_of"]

SAME = 1e-3
"""Relative map error up to which the naive export and the bundle's golden parts are one model's."""


def bench_against(
    path: Path, checkpoint: Path, *, backbone: Path | None, recipe: Path | None, **options: Any
) -> None:
    """As :func:`~edgeflow.cli.bench_report.bench`, the naive export of a model and its stages besides.

    Raises:
        CheckpointError: the bundle was not made of this model.
    """
    source = ModelSource(
        checkpoint=checkpoint,
        backbone=backbone,
        recipe=load_recipe(recipe) if recipe is not None else None,
        parts=options["parts"],
    )
    model = load_model(source, search_path=[recipe.resolve().parent] if recipe is not None else [])
    bench(path, **options, rivals=lambda bundle: rivals_of(bundle, model, threads=options["threads"]))


def rivals_of(bundle: Bundle, model: TrainedModel, *, threads: int) -> list[Candidate]:
    """The naive export, and each OpenVINO graph of the bundle in its two halves.

    Raises:
        CheckpointError: the naive export gives other maps than the bundle's golden parts hold.
    """
    manifest = bundle.manifest
    naive = Naive(model.module, manifest.views, manifest.preprocessing, threads=threads)
    part = manifest.golden[0]
    error = relative_error(naive.maps(bundle.golden_images(part)), bundle.golden_expectation(part).maps)
    if not error <= SAME:
        raise CheckpointError(
            f"{bundle.path}: was not made of this checkpoint: maps of golden part {part.part_id} differ "
            f"by {error:.2g}; name the checkpoint that 'edgeflow inspect' shows"
        )
    halves = [
        Halves(manifest, graph, bundle.read(graph.model), bundle.read(graph.weights or ""), threads=threads)
        for graph in manifest.graphs
        if graph.backend == "openvino" and graph.precision != "bf16" and len(manifest.views) > 1
    ]
    return [naive, *halves]


class Halves:
    """An OpenVINO graph as extractor and flow, to see what each costs; takes turns like a whole graph."""

    def __init__(self, manifest: Manifest, graph: Graph, xml: bytes, weights: bytes, *, threads: int) -> None:
        self.name = f"{graph.id} in two"
        self._manifest = manifest
        parts = cut(openvino_core().read_model(model=xml, weights=weights))
        if parts is None:
            raise CheckpointError(f"{graph.id}: not a graph of extractor and flow that this version makes")
        self._extractor = compile_for_bench(parts.extractor, threads)
        self._flow = compile_for_bench(parts.flow, threads)

    def score(self, images: Mapping[str, RgbImage]) -> Mapping[str, int]:
        """Nanoseconds by stage; ``graph`` is features and flow together."""
        manifest = self._manifest
        times = [perf_counter_ns()]
        inputs = _stacked(manifest, images)
        times.append(perf_counter_ns())
        features = self._extractor.infer({0: inputs})[0]
        times.append(perf_counter_ns())
        self._flow.infer({0: features})
        times.append(perf_counter_ns())
        preprocess, extractor, flow = np.diff(times).tolist()
        return {
            "preprocess": preprocess,
            "graph": extractor + flow,
            "features": extractor,
            "flow": flow,
            "masks": 0,
            "pooling": 0,
            "part": times[-1] - times[0],
        }


def _stacked(manifest: Manifest, images: Mapping[str, RgbImage]) -> Any:
    views: Sequence[Any] = [prepare(images[v.id], v, manifest.preprocessing) for v in manifest.views]
    return np.stack(views)
