"""Graphs run where they were asked to, say where they run, and never anywhere else in silence."""

from __future__ import annotations

import pytest

from edgeflow.backends.openvino.core import require_device
from edgeflow.backends.runner import DEFAULT_PLACEMENT, ActualPlacement, Placement
from edgeflow.bundles.bundle import Bundle
from edgeflow.errors import DeviceError
from edgeflow.scoring.loading import choose_graph, make_scorer
from edgeflow.scoring.scorer import Scores
from tests.support.tiny import TinyProduct

TWO_GPUS = ("CPU", "GPU.0", "GPU.1")


@pytest.mark.parametrize(
    "device", ["CPU", "GPU", "GPU.1", "AUTO", "AUTO:GPU,CPU", "AUTO:-GPU.1", "HETERO:GPU.1,CPU"]
)
def test_a_device_that_is_there_is_taken(device: str) -> None:
    require_device(device, TWO_GPUS)


@pytest.mark.parametrize(
    ("device", "missing"),
    [
        ("NPU", "'NPU'"),
        ("GPU.2", "'GPU.2'"),
        ("AUTO:NPU,CPU", "'NPU'"),  # OpenVINO would pass over it
        ("HETERO:GPU,NPU", "'NPU'"),
        ("HETERO", "name the devices"),
        ("AUTO:-CPU,-GPU.0,-GPU.1", "leaves no device"),
    ],
)
def test_a_device_that_is_not_there_is_named_with_those_that_are(device: str, missing: str) -> None:
    with pytest.raises(DeviceError, match=missing) as error:
        require_device(device, TWO_GPUS)
    if device != "HETERO":
        assert "CPU, GPU.0, GPU.1" in error.value.message


@pytest.mark.parametrize(
    ("backend", "device"),
    [
        ("openvino", "NPU"),
        ("openvino", "AUTO:NPU,CPU"),
        ("openvino", "CUDA"),
        ("onnxruntime", "TENSORRT"),
        ("onnxruntime", "CUDA"),
        ("onnxruntime", "GPU"),
    ],
)
def test_a_graph_never_runs_on_another_device_than_asked_for(
    tiny: TinyProduct, backend: str, device: str
) -> None:
    with (
        Bundle.open(tiny.bundle) as bundle,
        pytest.raises(DeviceError, match=r"not on this machine; found: .*CPU"),
    ):
        make_scorer(
            bundle,
            choose_graph(bundle, backend=backend, precision="fp32"),
            placement=Placement(device=device),
        )


def scored(
    tiny: TinyProduct, *, backend: str, precision: str, requested: Placement = DEFAULT_PLACEMENT
) -> tuple[ActualPlacement, Scores]:
    with Bundle.open(tiny.bundle) as bundle:
        graph = choose_graph(bundle, backend=backend, precision=precision)
        scorer = make_scorer(bundle, graph, placement=requested)
        scores = scorer.score(bundle.golden_images(bundle.manifest.golden[0]))
        placement = scorer.placement
        scorer.close()
    return placement, scores


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_threads_streams_and_precision_are_those_asked_for(
    tiny: TinyProduct, backend: str, precision: str
) -> None:
    one, _ = scored(tiny, backend=backend, precision=precision, requested=Placement(threads=1))
    assert one == ActualPlacement(device="CPU", precision="f32", threads=1, streams=1)
    all_cores, _ = scored(tiny, backend=backend, precision=precision)
    assert all_cores.threads >= 1
    two, _ = scored(tiny, backend=backend, precision=precision, requested=Placement(threads=2, streams=2))
    assert (two.threads, two.streams) == (2, 2)


@pytest.mark.parametrize("device", ["AUTO", "AUTO:CPU", "HETERO:CPU"])
def test_a_choosing_device_says_what_it_took(tiny: TinyProduct, device: str) -> None:
    plain, expected = scored(tiny, backend="openvino", precision="fp32", requested=Placement(device="CPU"))
    chosen, got = scored(tiny, backend="openvino", precision="fp32", requested=Placement(device=device))
    assert chosen.device in {"CPU", *(f"GPU.{n}" for n in range(4)), "GPU", "NPU"}
    if chosen.device == "CPU":
        assert (chosen.precision, got.part) == (plain.precision, expected.part)


def test_the_stages_of_scoring_add_up(tiny: TinyProduct) -> None:
    _, scores = scored(tiny, backend="openvino", precision="fp32")
    spent = scores.spent
    assert min(spent.preprocess, spent.graph, spent.pooling) > 0
    assert spent.masks == 0
    assert spent.total == spent.preprocess + spent.graph + spent.pooling
