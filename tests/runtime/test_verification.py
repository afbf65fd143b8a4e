"""A bundle proves itself on this machine, on both back ends, or is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgeflow.backends.table import choose_graph, make_scorer
from edgeflow.bundle import Bundle
from edgeflow.contracts.parity import relative_error
from edgeflow.errors import ConfigError, DeviceError, ParityError
from edgeflow.verification import verify_graph
from support.bundles import manifest_of, rewritten
from support.tiny import TinyProduct


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
        checks = verify_graph(bundle, graph, device="AUTO:CPU")
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


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_device_that_is_not_there_is_named_with_those_that_are(tiny: TinyProduct, backend: str) -> None:
    with Bundle.open(tiny.bundle) as bundle, pytest.raises(DeviceError, match="CPU") as caught:
        make_scorer(bundle, choose_graph(bundle, backend=backend, precision="fp32"), device="NPU")
    assert caught.value.exit_code == 6


def test_graph_that_the_bundle_lacks_is_a_config_error(tiny: TinyProduct) -> None:
    with Bundle.open(tiny.bundle) as bundle, pytest.raises(ConfigError, match="openvino-int8"):
        choose_graph(bundle, backend="openvino", precision="bf16")


def test_maps_that_are_not_finite_are_infinitely_wrong() -> None:
    good = np.ones((1, 2, 2), np.float32)
    bad = good.copy()
    bad[0, 0, 0] = np.nan
    assert relative_error(good, good) == 0
    assert relative_error(bad, good) == float("inf")
    assert relative_error(good[:, :1], good) == float("inf")
