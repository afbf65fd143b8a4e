"""A bundle's graphs with a foreground head are cut at the features, whatever version exported them."""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np
import openvino as ov
import pytest

from edgeflow.backends.openvino.core import openvino_core
from edgeflow.backends.openvino.split_graph import cut
from edgeflow.bundles.bundle import Bundle

TOOLS = Path(__file__).resolve().parents[4] / "tools"
DEMO = TOOLS / "demo" / "housing.bundle"
EARLIER = TOOLS / "benchmarks" / "graphs" / "baseline"
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


def infer(model: ov.Model, values: np.ndarray) -> dict[str, np.ndarray]:
    compiled = openvino_core().compile_model(model, "CPU", EXACT)
    found = compiled.create_infer_request().infer({0: values})
    return {port.any_name: np.array(found[port]) for port in compiled.outputs if port.names}


def graph_of(name: str) -> tuple[bytes, bytes]:
    """The two files of one of the demo's graphs, or of the graph before its layouts changed."""
    if name == "earlier":
        model, weights = (EARLIER / f"fast-fp32.{kind}.xz" for kind in ("xml", "bin"))
        return lzma.decompress(model.read_bytes()), lzma.decompress(weights.read_bytes())
    with Bundle.open(DEMO) as bundle:
        graph = next(graph for graph in bundle.manifest.graphs if graph.id == name)
        assert graph.mask_output is not None
        return bundle.read(graph.model), bundle.read(graph.weights or "")


@pytest.mark.parametrize("name", ["earlier", "openvino-fp32", "openvino-int8"])
def test_a_headed_graph_of_the_demo_computes_the_same_in_two_parts(name: str) -> None:
    files = graph_of(name)
    whole, to_cut = (openvino_core().read_model(model=files[0], weights=files[1]) for _ in range(2))
    images = np.random.default_rng(0).integers(0, 256, list(whole.input(0).shape), np.uint8)
    parts = cut(to_cut)
    assert parts is not None
    assert list(parts.extractor.output(0).shape)[1:] == [32, 32, 32]
    extractor = openvino_core().compile_model(parts.extractor, "CPU", EXACT)
    features = np.array(extractor.create_infer_request().infer({0: images})[0])
    expected, got = infer(whole, images), infer(parts.flow, features)
    assert set(got) == {"maps", "foreground"}
    for output, values in expected.items():
        # In INT8 the two parts may round at other places than the whole.
        allowed = 0.1 if name.endswith("int8") else 1e-4
        assert np.abs(got[output] - values).max() <= allowed * np.abs(values).max()
