"""Each graph of a bundle is judged by its own thresholds, or cannot be run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgeflow.contracts.manifest import Manifest, parse_manifest
from edgeflow.errors import ConfigError, IntegrityError
from faults.rewritten_bundles import manifest_of
from simulators.small_bundle import VIEWS, small_bundle, two_graphs


def thresholds(part: float) -> dict[str, Any]:
    scale = {"centre": 0.0, "threshold": part}
    return {
        "part": scale,
        "views": dict.fromkeys(VIEWS, scale),
        "false_reject_rate": 0.01,
        "normal_parts": 99,
    }


def manifest(tmp_path: Path, **fields: Any) -> Manifest:
    document = manifest_of(small_bundle(tmp_path / "b", **two_graphs())) | fields
    return parse_manifest(json.dumps(document).encode(), what="b")


def test_without_thresholds_of_their_own_all_graphs_have_the_bundle_s(tmp_path: Path) -> None:
    found = manifest(tmp_path)
    assert [found.thresholds_of(graph).part.threshold for graph in found.graphs] == [1000.0, 1000.0]


def test_every_graph_has_its_own(tmp_path: Path) -> None:
    own = {"onnxruntime-fp32": thresholds(1000.0), "onnxruntime-int8": thresholds(1100.0)}
    found = manifest(tmp_path, thresholds=thresholds(1000.0), graph_thresholds=own)
    assert [found.thresholds_of(graph).part.threshold for graph in found.graphs] == [1000.0, 1100.0]
    again = parse_manifest(found.model_dump_json().encode(), what="b")
    assert again == found
    assert "thresholds" in json.loads(found.model_dump_json())


def test_a_graph_that_was_not_calibrated_with_the_others_has_none(tmp_path: Path) -> None:
    own = {"onnxruntime-fp32": thresholds(1000.0)}
    found = manifest(tmp_path, thresholds=thresholds(1000.0), graph_thresholds=own)
    assert [found.is_calibrated(graph) for graph in found.graphs] == [True, False]
    with pytest.raises(ConfigError, match=r"onnxruntime-int8 has no thresholds.*use onnxruntime-fp32"):
        found.thresholds_of(found.graphs[1])


@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        ({"openvino-int8": thresholds(1000.0)}, "graph_thresholds: no graph openvino-int8"),
        ({"onnxruntime-int8": thresholds(1100.0)}, "thresholds: not those of one of the graphs"),
        ({"onnxruntime-fp32": thresholds(1000.0) | {"views": {}}}, "not the same ids as views"),
    ],
)
def test_thresholds_that_cannot_be_right_are_refused(
    tmp_path: Path, own: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(IntegrityError, match=sentence):
        manifest(tmp_path, thresholds=thresholds(1000.0), graph_thresholds=own)
