"""Costs of graphs: measured in turns, work counted from their shapes, starts in separate processes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgeflow.backends.onnxruntime import compute_cost as onnxruntime_work
from edgeflow.backends.openvino import compute_cost as openvino_work
from edgeflow.backends.runner import Placement
from edgeflow.bundles.bundle import Bundle
from edgeflow.cli.bench_report import bench
from edgeflow.diagnostics.benchmark import costs, load_parts, measure_in_turns, work_of
from edgeflow.diagnostics.startup_time import measure_starts
from edgeflow.errors import ConfigError, DeviceError
from simulators.small_bundle import small_bundle
from tests.support.tiny import TinyProduct

Images = Mapping[str, npt.NDArray[np.uint8]]


class Steady:
    """Takes always the same time, and remembers what it was given."""

    def __init__(self, name: str, ms: int) -> None:
        self.name = name
        self.ns = ms * 1_000_000
        self.given: list[Images] = []

    def score(self, images: Images) -> Mapping[str, int]:
        self.given.append(images)
        graph = self.ns * 9 // 10
        return {"graph": graph, "masks": 0, "part": self.ns}


def part(value: int) -> Images:
    return {"top": np.full((2, 2, 3), value, np.uint8)}


def test_every_contender_scores_the_same_parts_equally_often() -> None:
    slow, fast = Steady("slow", 40), Steady("fast", 10)
    turns = measure_in_turns([slow, fast], [part(0), part(1)], turns=10, at_most_s=60)
    assert [len(spent) for spent in turns.values()] == [10, 10]
    assert [id(images) for images in slow.given] == [id(images) for images in fast.given]
    assert {int(images["top"][0, 0, 0]) for images in slow.given} == {0, 1}


def test_figures_follow_from_the_times() -> None:
    found = costs(
        measure_in_turns([Steady("slow", 40), Steady("fast", 10)], [part(0)], turns=5, at_most_s=60), "slow"
    )
    slow, fast = found
    assert (slow.name, slow.ratio, fast.ratio) == ("slow", 1.0, 0.25)
    assert fast.p50_ms == {"graph": 9.0, "masks": 0.0, "part": 10.0}
    assert fast.parts_per_s == pytest.approx(100)
    assert fast.overhead == pytest.approx(1 / 9)


def test_no_turn_begins_after_the_time_is_up_but_three_are_always_had() -> None:
    ticking = iter(range(0, 10_000, 30))
    turns = measure_in_turns(
        [Steady("a", 1)], [part(0)], turns=50, at_most_s=100, clock=lambda: next(ticking)
    )
    assert 3 <= len(turns["a"]) < 10


def test_both_back_ends_count_the_same_multiplications(tiny: TinyProduct) -> None:
    with Bundle.open(tiny.bundle) as bundle:
        macs = {
            graph.id: work_of(bundle, graph, device="CPU", threads=1).macs for graph in bundle.manifest.graphs
        }
    assert len(macs) == 4
    assert len(set(macs.values())) == 1
    assert min(macs.values()) > 100_000


@pytest.mark.parametrize("module", [openvino_work, onnxruntime_work])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_peak_is_what_no_graph_exceeds(module: Any, precision: str) -> None:
    assert 1e8 < module.peak_macs_per_s(precision, device="CPU", threads=1) < 1e14


@pytest.mark.parametrize("name", ["openvino-int8", "onnxruntime-fp32"])
def test_a_start_is_measured_from_outside(tiny: TinyProduct, name: str) -> None:
    with Bundle.open(tiny.bundle) as bundle:
        graph = next(graph for graph in bundle.manifest.graphs if graph.id == name)
        started = measure_starts(bundle, graph, Placement(threads=1))
    assert 0 < started.first.opened_s < started.first.compiled_s < started.first.ready_s
    assert 20 < started.first.peak_mb < 2000
    assert (started.warm is None) == (name == "onnxruntime-fp32")


def test_a_start_that_fails_says_why(tiny: TinyProduct) -> None:
    with Bundle.open(tiny.bundle) as bundle, pytest.raises(DeviceError, match="'NPU' is not on this machine"):
        measure_starts(bundle, bundle.manifest.graphs[0], Placement(device="NPU", threads=1))


HOW: dict[str, Any] = {
    "device": "CPU",
    "graph_ids": (),
    "parts": None,
    "turns": 3,
    "at_most_s": 0,
    "threads": 1,
    "streams": 1,
    "starts": False,
    "json_output": True,
}


def test_json_holds_every_graph(tiny: TinyProduct, capsys: pytest.CaptureFixture[str]) -> None:
    bench(tiny.bundle, **{**HOW, "parts": tiny.parts})
    document = json.loads(capsys.readouterr().out)
    ids = ["openvino-fp32", "onnxruntime-fp32", "openvino-int8", "onnxruntime-int8"]
    assert [cost["name"] for cost in document["costs"]] == ids
    assert document["base"] == "openvino-fp32"
    for cost in document["costs"]:
        assert set(cost["p50_ms"]) == {"preprocess", "graph", "masks", "pooling", "part"}
        assert cost["p50_ms"]["part"] <= cost["p99_ms"]["part"]
        assert cost["work"]["macs"] > 0
        assert cost["placement"]["device"] == "CPU"


def test_graphs_that_were_not_named_may_be_missing_but_not_all(tiny: TinyProduct) -> None:
    with pytest.raises(ConfigError, match="the bundle holds: openvino-fp32"):
        bench(tiny.bundle, **{**HOW, "graph_ids": ("openvino-bf16",)})
    with pytest.raises(DeviceError, match="no graph of it runs here on CUDA"):
        bench(tiny.bundle, **{**HOW, "device": "CUDA"})


def test_golden_parts_stand_in_where_no_parts_are_given(tmp_path: Any) -> None:
    with Bundle.open(small_bundle(tmp_path / "small.bundle")) as bundle:
        assert [set(images) for images in load_parts(bundle, None)] == [{"top", "left"}]


def test_a_terminal_of_80_columns_holds_whole_names_and_figures(
    tmp_path: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    bench(small_bundle(tmp_path / "small.bundle"), **{**HOW, "json_output": False})
    shown = capsys.readouterr().out
    assert "\u2026" not in shown
    assert "preprocess" in shown
    (row,) = [
        line for line in shown.splitlines() if line.startswith("onnxruntime-fp32 ") and " on " not in line
    ]
    assert len(row) <= 80
    assert len(row.split()) == 9
