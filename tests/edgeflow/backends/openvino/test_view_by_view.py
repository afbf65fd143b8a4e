"""Large images go through the extractor one by one, with the numbers of all at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as op

from edgeflow.backends.openvino.core import openvino_core
from edgeflow.backends.openvino.inference import AllViews, ViewByView
from edgeflow.backends.openvino.split_graph import cut
from edgeflow.backends.registry import make_runner
from edgeflow.backends.runner import Placement
from edgeflow.contracts.manifest import Graph, Tensor

VIEWS, CHANNELS = 3, 4


def graph(side: int, *, fixed: bool = False, headed: bool = False) -> ov.Model:
    """uint8 (3, side, side, 3) to features (3, 4, h, w) to maps (3, h, w), mixed over all views.

    Args:
        fixed: a shape in the extractor holds the number of views.
        headed: features are standardised, every view and place by its own, after a foreground head read them.
    """
    rng = np.random.default_rng(0)
    images = op.parameter([VIEWS, side, side, 3], np.uint8, "images")
    x = op.convert(op.transpose(images, [0, 3, 1, 2]), "f32")
    weights = op.constant(rng.normal(size=(CHANNELS, 3, 16, 16)).astype(np.float32))
    features = op.relu(op.convolution(x, weights, [16, 16], [0, 0], [0, 0], [1, 1]))
    size = side // 16
    if fixed:
        features = op.multiply(
            op.reshape(features, [VIEWS, CHANNELS, size, size], special_zero=False), np.float32(2)
        )
    raw = features
    if headed:
        scale, offset = (rng.normal(size=(VIEWS, CHANNELS, size, size)).astype(np.float32) for _ in range(2))
        features = op.add(op.multiply(raw, op.constant(scale)), op.constant(offset))
    beside = op.reshape(features, [1, VIEWS * CHANNELS, size, size], special_zero=False)
    mixing = op.constant(rng.normal(size=(VIEWS, VIEWS * CHANNELS, 3, 3)).astype(np.float32))
    mixed = op.convolution(beside, mixing, [1, 1], [1, 1], [1, 1], [1, 1])
    maps = op.reshape(mixed, [VIEWS, size, size], special_zero=False)
    maps.output(0).get_tensor().set_names({"maps"})
    results = [op.result(maps)]
    if headed:
        logits = op.reduce_sum(raw, op.constant([1]))
        logits.output(0).get_tensor().set_names({"foreground"})
        results.append(op.result(logits))
    return ov.Model(results, [images])


def images(side: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (VIEWS, side, side, 3), np.uint8)


def compiled(model: ov.Model, more: Mapping[str, object]) -> ov.CompiledModel:
    return openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", **more})


@pytest.mark.parametrize("headed", [False, True])
@pytest.mark.parametrize("streams", [1, 2, 5])
def test_one_by_one_is_as_all_at_once(streams: int, headed: bool) -> None:
    whole = graph(64, headed=headed)
    parts = cut(whole.clone())
    assert parts is not None
    by_view, all_views = ViewByView(parts, compiled, streams), AllViews(whole, compiled)
    for seed in range(3):
        given = images(64, seed)
        for name in ("maps", "foreground") if headed else ("maps",):
            expected = np.array(all_views.infer(given)[name])
            np.testing.assert_allclose(by_view.infer(given)[name], expected, rtol=1e-5, atol=1e-3)


def test_a_graph_whose_head_reads_the_images_is_not_cut() -> None:
    whole = graph(64)
    brightness = op.reduce_sum(op.convert(whole.get_parameters()[0], "f32"), op.constant([3]))
    assert cut(ov.Model([*whole.get_results(), op.result(brightness)], whole.get_parameters())) is None


def test_an_extractor_that_is_fixed_to_all_views_is_not_cut_up() -> None:
    parts = cut(graph(64, fixed=True))
    assert parts is not None
    with pytest.raises(RuntimeError):
        ViewByView(parts, compiled, 1)


def entry(side: int) -> Graph:
    size = side // 16
    return Graph(
        backend="openvino",
        precision="fp32",
        model="graph.xml",
        weights="graph.bin",
        input=Tensor(name="images", dtype="uint8", shape=(VIEWS, side, side, 3)),
        output=Tensor(name="maps", dtype="float32", shape=(VIEWS, size, size)),
        measured_error=0.0,
        tolerance=1e-4,
    )


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("side", [64, 512])
def test_a_runner_gives_the_same_maps_for_every_size(tmp_path: Path, side: int, fixed: bool) -> None:
    ov.save_model(graph(side, fixed=fixed), tmp_path / "graph.xml", compress_to_fp16=False)
    files = [(tmp_path / name).read_bytes() for name in ("graph.xml", "graph.bin")]
    for cache_dir in (None, tmp_path / "cache", tmp_path / "cache"):
        runner = make_runner(entry(side), *files, placement=Placement(streams=2, cache_dir=cache_dir))
        (maps,) = runner.run(images(side))
        expected = AllViews(graph(side, fixed=fixed), compiled).infer(images(side))["maps"]
        np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=0.1 if fixed else 1e-2)
        assert (runner.placement.device, runner.placement.streams) == ("CPU", 2)
