"""A bundle's graphs with a foreground head are cut at the features, whatever version exported them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino as ov
import pytest

from edgeflow.backends.openvino.core import openvino_core
from edgeflow.backends.openvino.split_graph import cut
from edgeflow.bundles.bundle import Bundle

DEMO = Path(__file__).resolve().parents[4] / "tools" / "demo" / "housing.bundle"
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


def infer(model: ov.Model, values: np.ndarray) -> dict[str, np.ndarray]:
    compiled = openvino_core().compile_model(model, "CPU", EXACT)
    found = compiled.create_infer_request().infer({0: values})
    return {port.any_name: np.array(found[port]) for port in compiled.outputs if port.names}


@pytest.mark.parametrize("name", ["openvino-fp32", "openvino-int8"])
def test_a_headed_graph_of_the_demo_computes_the_same_in_two_parts(name: str) -> None:
    with Bundle.open(DEMO) as bundle:
        graph = next(graph for graph in bundle.manifest.graphs if graph.id == name)
        files = bundle.read(graph.model), bundle.read(graph.weights or "")
    whole, to_cut = (openvino_core().read_model(model=files[0], weights=files[1]) for _ in range(2))
    assert graph.mask_output is not None
    images = np.random.default_rng(0).integers(0, 256, graph.input.shape, np.uint8)
    parts = cut(to_cut)
    assert parts is not None
    assert list(parts.extractor.output(0).shape)[1:] == [32, 32, 32]
    extractor = openvino_core().compile_model(parts.extractor, "CPU", EXACT)
    features = np.array(extractor.create_infer_request().infer({0: images})[0])
    expected, got = infer(whole, images), infer(parts.flow, features)
    assert set(got) == {"maps", "foreground"}
    for output, values in expected.items():
        # In INT8 the two parts may round at other places than the whole.
        allowed = 1e-4 if name.endswith("fp32") else 0.1
        assert np.abs(got[output] - values).max() <= allowed * np.abs(values).max()
