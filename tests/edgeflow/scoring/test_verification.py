"""A bundle proves itself on this machine, on both back ends, or is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from edgeflow.backends.runner import Placement
from edgeflow.bundles.bundle import Bundle
from edgeflow.contracts.parity import relative_error
from edgeflow.errors import ConfigError, DeviceError, ParityError
from edgeflow.scoring.loading import choose_graph, make_scorer
from edgeflow.scoring.verification import verify_graph
from faults.rewritten_bundles import manifest_of, rewritten
from simulators.small_bundle import VIEWS as SMALL_VIEWS
from simulators.small_bundle import colour_mean, small_bundle
from tests.support.tiny import TinyProduct


def test_every_graph_reproduces_the_trained_model(tiny: TinyProduct) -> None:
    with Bundle.open(tiny.bundle) as bundle:
        checks = {graph.id: verify_graph(bundle, graph) for graph in bundle.manifest.graphs}
    assert set(checks) == {"openvino-fp32", "onnxruntime-fp32", "openvino-int8", "onnxruntime-int8"}
    for name, found in checks.items():
        limit = 1e-4 if name.endswith("fp32") else 0.5
        assert all(check.error <= limit for check in found), (name, found)


def test_a_choosing_device_is_told_as_what_it_took(tiny: TinyProduct) -> None:
    with Bundle.open(tiny.bundle) as bundle:
        graph = choose_graph(bundle, backend="openvino", precision="fp32")
        checks = verify_graph(bundle, graph, placement=Placement(device="AUTO:CPU"))
    assert {check.device for check in checks} == {"CPU"}


def test_graph_out_of_tolerance_is_refused(tiny: TinyProduct, tmp_path: Path) -> None:
    document = manifest_of(tiny.bundle)
    graphs = document["graphs"]
    assert isinstance(graphs, list)
    for graph in graphs:
        graph["tolerance"] = 1e-12
    altered = rewritten(tiny.bundle, tmp_path / "b", {"manifest.json": json.dumps(document).encode()}, {})
    with Bundle.open(altered) as bundle, pytest.raises(ParityError, match="does not compute") as caught:
        verify_graph(bundle, bundle.manifest.graphs[0])
    assert caught.value.exit_code == 3
    assert len(caught.value.problems) == len(bundle.manifest.golden)


def test_a_refused_graph_with_full_range_weights_is_told_of_vnni(tiny: TinyProduct, tmp_path: Path) -> None:
    document = manifest_of(tiny.bundle)
    graphs, recipe = document["graphs"], document["recipe"]
    assert isinstance(graphs, list)
    assert isinstance(recipe, dict)
    for graph in graphs:
        graph["tolerance"] = 1e-12
    # Computes something else than at export, as an overflow would.
    other, int8 = (
        next(g for g in graphs if (g["backend"], g["precision"]) == ("openvino", precision))
        for precision in ("fp32", "int8")
    )
    int8 |= {"model": other["model"], "weights": other["weights"]}
    recipe["export"]["weights"] = "full"
    altered = rewritten(tiny.bundle, tmp_path / "b", {"manifest.json": json.dumps(document).encode()}, {})
    with Bundle.open(altered) as bundle:
        graph = choose_graph(bundle, backend="openvino", precision="int8")
        with pytest.raises(ParityError, match="processors without VNNI overflow"):
            verify_graph(bundle, graph)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_device_that_is_not_there_is_named_with_those_that_are(tiny: TinyProduct, backend: str) -> None:
    with Bundle.open(tiny.bundle) as bundle, pytest.raises(DeviceError, match="CPU") as caught:
        make_scorer(
            bundle,
            choose_graph(bundle, backend=backend, precision="fp32"),
            placement=Placement(device="NPU"),
        )
    assert caught.value.exit_code == 6


def test_graph_that_the_bundle_lacks_is_a_config_error(tiny: TinyProduct) -> None:
    with Bundle.open(tiny.bundle) as bundle, pytest.raises(ConfigError, match="openvino-int8"):
        choose_graph(bundle, backend="openvino", precision="bf16")


def small_verdict(path: Path, *, threshold: float, part: float | None = None) -> Path:
    """The small bundle with a graph that computes everything larger by a millionth, as a processor may."""
    slightly = helper.make_node("Mul", ["exact", "factor"], ["maps"])
    model = colour_mean()
    model.graph.node[-1].output[0] = "exact"
    model.graph.node.append(slightly)
    model.graph.initializer.append(helper.make_tensor("factor", TensorProto.FLOAT, [], [1 + 1e-6]))
    scale = {"centre": 0.0, "threshold": threshold}
    thresholds = {
        "part": scale,
        "views": dict.fromkeys(SMALL_VIEWS, scale),
        "false_reject_rate": 0.01,
        "normal_parts": 9,
    }
    return small_bundle(path, model=model.SerializeToString(), thresholds=thresholds, part=part)


def recorded_score(path: Path) -> float:
    with Bundle.open(path) as bundle:
        return bundle.golden_expectation(bundle.manifest.golden[0]).part


def test_golden_part_on_the_threshold_is_no_reason_to_refuse_a_processor_that_rounds_up(
    tmp_path: Path,
) -> None:
    """As bundles of older versions have it: the threshold was the score of one of their parts."""
    exact = recorded_score(small_bundle(tmp_path / "any"))
    with Bundle.open(small_verdict(tmp_path / "on", threshold=exact)) as bundle:
        (check,) = verify_graph(bundle, bundle.manifest.graphs[0])
    assert check.expected_score == 1.0
    assert check.score > 1.0


def test_score_out_of_tolerance_is_refused_though_the_verdict_is_the_same(tmp_path: Path) -> None:
    exact = recorded_score(small_bundle(tmp_path / "any"))
    path = small_verdict(tmp_path / "off", threshold=1000.0, part=exact * 1.01)
    with Bundle.open(path) as bundle, pytest.raises(ParityError, match="does not compute") as caught:
        verify_graph(bundle, bundle.manifest.graphs[0])
    assert "score" in caught.value.problems[0]
    assert "differs from" in caught.value.problems[0]


def test_maps_that_are_not_finite_are_infinitely_wrong() -> None:
    good = np.ones((1, 2, 2), np.float32)
    bad = good.copy()
    bad[0, 0, 0] = np.nan
    assert relative_error(good, good) == 0
    assert relative_error(bad, good) == float("inf")
    assert relative_error(good[:, :1], good) == float("inf")
