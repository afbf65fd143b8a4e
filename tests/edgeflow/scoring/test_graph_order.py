"""The order in which a box tries a bundle's graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgeflow.bundles.bundle import Bundle
from edgeflow.bundles.graph_choice import keep_choice
from edgeflow.config.box import BoxConfig, load_config
from edgeflow.errors import ConfigError
from edgeflow.scoring.graph_order import GraphOrder, choices_path, graph_order
from simulators.small_box import write_box
from simulators.small_bundle import VIEWS, graph_entry, small_bundle, two_graphs

SCALE = {"centre": 0.0, "threshold": 1000.0}
THRESHOLDS = {
    "part": SCALE,
    "views": dict.fromkeys(VIEWS, SCALE),
    "false_reject_rate": 0.01,
    "normal_parts": 99,
}


@pytest.fixture
def config(tmp_path: Path) -> BoxConfig:
    return load_config(write_box(tmp_path, 1))


def ordered(tmp_path: Path, config: BoxConfig, choice: str | None = None, **fields: Any) -> GraphOrder:
    with Bundle.open(small_bundle(tmp_path / "b", **(two_graphs() | fields))) as bundle:
        if choice is not None:
            keep_choice(choices_path(config), bundle.sha256, choice)
        return graph_order(bundle, config)


def ids(order: GraphOrder) -> list[str]:
    return [graph.id for graph in order.graphs]


def with_precision(config: BoxConfig, precision: str) -> BoxConfig:
    return config.model_copy(update={"runtime": config.runtime.model_copy(update={"precision": precision})})


def test_most_reduced_graph_is_tried_first_and_the_others_after_it(tmp_path: Path, config: BoxConfig) -> None:
    graphs = [graph_entry(precision) for precision in ("fp32", "bf16", "int8")]
    order = ordered(tmp_path, config, graphs=graphs)
    assert ids(order) == ["onnxruntime-int8", "onnxruntime-bf16", "onnxruntime-fp32"]
    assert (order.chosen_by, order.notes) == ("order", ())


def test_chosen_graph_comes_first(tmp_path: Path, config: BoxConfig) -> None:
    order = ordered(tmp_path, config, "onnxruntime-fp32")
    assert ids(order) == ["onnxruntime-fp32", "onnxruntime-int8"]
    assert (order.chosen_by, order.notes) == ("bench", ())


def test_precision_of_the_box_file_wins_and_the_choice_is_told_as_not_followed(
    tmp_path: Path, config: BoxConfig
) -> None:
    order = ordered(tmp_path, with_precision(config, "int8"), "onnxruntime-fp32")
    assert ids(order) == ["onnxruntime-int8"]
    assert order.chosen_by == "box_file"
    (note,) = order.notes
    assert "onnxruntime-fp32 was chosen" in note
    assert "the box file says runtime.backend: onnxruntime, runtime.precision: int8" in note


def test_choice_that_the_box_file_names_too_is_followed_in_silence(tmp_path: Path, config: BoxConfig) -> None:
    order = ordered(tmp_path, with_precision(config, "fp32"), "onnxruntime-fp32")
    assert (ids(order), order.chosen_by, order.notes) == (["onnxruntime-fp32"], "box_file", ())


def test_choice_for_another_bundle_is_not_followed(tmp_path: Path, config: BoxConfig) -> None:
    keep_choice(choices_path(config), "0" * 64, "onnxruntime-fp32")
    order = ordered(tmp_path, config)
    assert ids(order)[0] == "onnxruntime-int8"
    assert "is for other bundles" in order.notes[0]


@pytest.mark.parametrize(
    ("choice", "why"),
    [
        ("openvino-int8", "the bundle holds no such graph"),
        ("onnxruntime-int8", "it has no thresholds, because it could not run"),
    ],
)
def test_chosen_graph_that_cannot_run_gives_way_with_a_reason(
    tmp_path: Path, config: BoxConfig, choice: str, why: str
) -> None:
    own = {"onnxruntime-fp32": THRESHOLDS}
    order = ordered(tmp_path, config, choice, thresholds=THRESHOLDS, graph_thresholds=own)
    assert ids(order) == ["onnxruntime-fp32"]
    assert why in order.notes[0]


def test_damaged_choice_stops_no_line(tmp_path: Path, config: BoxConfig) -> None:
    path = choices_path(config)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{")
    order = ordered(tmp_path, config)
    assert ids(order)[0] == "onnxruntime-int8"
    assert "cannot be read" in order.notes[0]


def test_graph_that_nobody_calibrated_is_not_in_the_order(tmp_path: Path, config: BoxConfig) -> None:
    own = {"onnxruntime-fp32": THRESHOLDS}
    fields = {"thresholds": THRESHOLDS, "graph_thresholds": own}
    assert ids(ordered(tmp_path, config, **fields)) == ["onnxruntime-fp32"]
    with pytest.raises(ConfigError, match="onnxruntime-int8 has no thresholds"):
        ordered(tmp_path, with_precision(config, "int8"), **fields)
