"""Speeds of a bundle's graphs on a box: compared in turns, chosen only on request."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgeflow.backends.runner import Placement
from edgeflow.bundles.bundle import Bundle
from edgeflow.bundles.graph_choice import keep_choice, read_choices
from edgeflow.cli.bench import bench
from edgeflow.config.box import load_config
from edgeflow.diagnostics.graph_speed import GraphTimes, fastest, graph_times, speed_findings
from edgeflow.errors import ConfigError, StorageError
from edgeflow.scoring.graph_order import choices_path
from simulators.small_box import write_box
from simulators.small_bundle import small_bundle, two_graphs


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A box whose bundle has two graphs."""
    path = write_box(tmp_path, 1)
    (tmp_path / "bundles" / "one.bundle").unlink()
    small_bundle(tmp_path / "bundles" / "one.bundle", version=1, **two_graphs())
    return path


def test_graph_that_does_not_verify_is_not_measured(tmp_path: Path) -> None:
    path = small_bundle(tmp_path / "b", recorded_factor=1.5, **two_graphs())
    with Bundle.open(path) as bundle:
        times = graph_times(bundle, bundle.manifest.graphs, Placement(threads=1), turns=3)
    assert times.ratios == {"onnxruntime-fp32": 1.0}
    assert "does not compute" in times.left_out["onnxruntime-int8"]


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [({"a": 1.0, "b": 0.95}, None), ({"a": 1.0, "b": 0.8, "c": 0.5}, "c"), ({"a": 1.0}, None), ({}, None)],
)
def test_another_graph_is_faster_by_a_tenth_or_not_at_all(
    ratios: dict[str, float], expected: str | None
) -> None:
    assert fastest(GraphTimes(ratios=ratios, left_out={})) == expected


def test_bundle_that_has_not_run_here_is_not_compiled_for_a_check(box: Path) -> None:
    (found,) = speed_findings(load_config(box))
    assert "once the bundle has run here" in found.text


def test_check_compares_the_graphs_in_turns_and_names_choices_that_are_not_followed(box: Path) -> None:
    config = load_config(box).model_copy(update={"trust": None})
    (found,) = speed_findings(config)
    assert found.name == "graph"
    assert "no other graph of the bundle is faster" in found.text or "--choose BOX" in found.text
    keep_choice(choices_path(config), "0" * 64, "onnxruntime-fp32")
    first, _ = speed_findings(config)
    assert first.state == "warning"
    assert "is for other bundles" in first.text


def test_what_is_wrong_with_the_bundle_is_another_check_s(box: Path, tmp_path: Path) -> None:
    (tmp_path / "bundles" / "one.bundle").write_bytes(b"no bundle")
    assert speed_findings(load_config(box)) == []


def test_choosing_measures_verifies_and_keeps_under_the_bundle_s_hash(box: Path, tmp_path: Path) -> None:
    config, bundle = load_config(box), tmp_path / "bundles" / "one.bundle"
    done = CliRunner().invoke(bench, [str(bundle), "--choose", str(box), "--turns", "5", "--json"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.output)
    assert set(document["ratios"]) == {"onnxruntime-int8", "onnxruntime-fp32"}
    kept = read_choices(choices_path(config)).bundles
    assert kept == ({document["bundle"]: document["chosen"]} if document["chosen"] else {})


def test_choice_against_the_box_file_and_damaged_state_are_refused(box: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundles" / "one.bundle"
    config = load_config(box)
    path = choices_path(config)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{")
    done = CliRunner().invoke(bench, [str(bundle), "--choose", str(box), "--turns", "3"])
    assert isinstance(done.exception, StorageError)
    named = write_box(tmp_path, 1, runtime={"precision": "int8"})
    done = CliRunner().invoke(bench, [str(bundle), "--choose", str(named), "--turns", "3"])
    assert isinstance(done.exception, ConfigError)
    assert "runtime.precision: int8 names the graph" in str(done.exception)


def test_processor_without_bf16_is_known_by_trying() -> None:
    code = "from edgeflow.backends.openvino.bf16 import computes_in_bf16; print(computes_in_bf16())"
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "False"
