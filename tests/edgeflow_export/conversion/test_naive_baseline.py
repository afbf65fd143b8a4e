"""The naive export computes the same maps, and a graph cut in two is still the whole."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import openvino as ov
import pytest

from edgeflow.backends.openvino.core import openvino_core
from edgeflow.backends.openvino.split_graph import cut
from edgeflow.bundles.bundle import Bundle
from edgeflow.contracts.parity import relative_error
from edgeflow.diagnostics.benchmark import load_parts
from edgeflow.errors import CheckpointError
from edgeflow_export.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from edgeflow_export.cli.bench import bench_against
from edgeflow_export.conversion.naive_baseline import Naive
from tests.support.tiny import TinyProduct
from tests.support.tiny import tests_on_path as extractor_on_path


def graph_of(bundle: Bundle, name: str) -> ov.Model:
    graph = next(graph for graph in bundle.manifest.graphs if graph.id == name)
    return openvino_core().read_model(
        model=bundle.read(graph.model), weights=bundle.read(graph.weights or "")
    )


def run(model: ov.Model, values: object) -> np.ndarray:
    compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(compiled.create_infer_request().infer({0: values})[0])


def test_naive_maps_are_the_bundle_s(tiny: TinyProduct) -> None:
    with extractor_on_path():
        model = load_checkpoint(tiny.checkpoint)
    with Bundle.open(tiny.bundle) as bundle:
        naive = Naive(model.module, bundle.manifest.views, bundle.manifest.preprocessing, threads=1)
        for part in bundle.manifest.golden:
            images = bundle.golden_images(part)
            expected = bundle.golden_expectation(part).maps
            assert relative_error(naive.maps(images), expected) < 1e-5
            spent = naive.score(images)
            assert spent["features"] + spent["flow"] == spent["graph"] < spent["part"]


@pytest.mark.parametrize("name", ["openvino-fp32", "openvino-int8"])
def test_a_graph_cut_at_its_features_computes_the_same(tiny: TinyProduct, name: str) -> None:
    with Bundle.open(tiny.bundle) as bundle:
        whole, parts = graph_of(bundle, name), cut(graph_of(bundle, name))
        images = np.stack(list(load_parts(bundle, None)[0].values()))
        assert parts is not None
        expected = run(whole, images)
        np.testing.assert_allclose(
            run(parts.flow, run(parts.extractor, images)), expected, rtol=1e-4, atol=1e-4
        )
        parts.extractor.reshape([1, *images.shape[1:]])
        assert run(parts.extractor, images[:1]).shape[0] == 1


def options(tiny: TinyProduct) -> dict[str, object]:
    return {
        "device": "CPU",
        "graph_ids": ("openvino-int8",),
        "parts": tiny.parts,
        "turns": 3,
        "at_most_s": 0,
        "threads": 1,
        "streams": 1,
        "starts": False,
        "json_output": True,
    }


def test_bench_sets_a_bundle_against_its_model(tiny: TinyProduct, capsys: pytest.CaptureFixture[str]) -> None:
    with extractor_on_path():
        bench_against(tiny.bundle, tiny.checkpoint, backbone=None, recipe=None, **options(tiny))
    document = json.loads(capsys.readouterr().out)
    names = [cost["name"] for cost in document["costs"]]
    assert names == ["naive-fp32", "openvino-fp32 in two", "openvino-int8 in two", "openvino-int8"]
    assert document["base"] == "naive-fp32"
    assert document["costs"][0]["ratio"] == 1.0
    assert all(cost["p50_ms"]["flow"] > 0 for cost in document["costs"][:3])


def test_bench_refuses_another_model(tiny: TinyProduct, tmp_path: Path) -> None:
    with extractor_on_path():
        model = load_checkpoint(tiny.checkpoint)
        for parameter in model.module.flow.parameters():
            parameter.data.mul_(1.5)
        other = tmp_path / "other.safetensors"
        save_checkpoint(other, model)
        with pytest.raises(CheckpointError, match="was not made of this checkpoint"):
            bench_against(tiny.bundle, other, backbone=None, recipe=None, **options(tiny))
