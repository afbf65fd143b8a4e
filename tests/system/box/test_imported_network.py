"""A network that was trained elsewhere on a running box: exported, run, judged as it is judged offline."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from edgeflow.bundles.bundle import Bundle
from edgeflow.contracts.datasets.find_parts import RecordedPart, find_parts
from edgeflow.contracts.images import read_image
from edgeflow.contracts.preprocess import reading_of
from edgeflow.scoring.loading import make_scorer
from tests.support.tiny import VIEWS, write_parts
from tests.support.tiny_network import MEAN, STD, network

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.system.conftest import Broker, Client

TOPICS = "edgeflow/v1/plant/l1/s1"
BACKEND = "openvino"


def edgeflow(*arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "edgeflow.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "COLUMNS": "200"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def exported(folder: Path, parts: Path) -> Path:
    numbers = [",".join(map(str, values)) for values in (MEAN, STD)]
    file, bundle = network(folder / "model.onnx"), folder / "elsewhere.bundle"
    options = ("--onnx", file, "--parts", parts, "--mean", numbers[0], "--std", numbers[1])
    edgeflow("export", *options, "--precision", "fp32", "-o", bundle)
    return bundle


def offline(bundle: Path, parts: list[RecordedPart]) -> dict[str, tuple[str, float]]:
    """Part → verdict and raw score by the bundle's own graph, without a box."""
    found = {}
    with Bundle.open(bundle) as opened:
        manifest = opened.manifest
        (graph,) = (each for each in manifest.graphs if each.backend == BACKEND)
        scorer, reading = make_scorer(opened, graph), reading_of(manifest.preprocessing)
        for part in parts:
            images = {view: read_image(path, reading) for view, path in part.images.items()}
            score = scorer.score(images).part
            found[part.part_id] = ("NG" if score > scorer.thresholds.part.threshold else "OK", score)
    return found


def box_file(folder: Path, bundle: Path, parts: Path, port: int) -> Path:
    document: dict[str, Any] = {
        "station": {"site": "plant", "line": "l1", "station": "s1"},
        "bundle": str(bundle),
        "trigger": {"source": "interval", "period_ms": 60, "timeout_ms": 5000},
        "cameras": {view: {"kind": "replay", "parts": str(parts)} for view in VIEWS},
        "sync": {"max_skew_ms": 5000},
        "decision": {"deadline_ms": 20_000},
        "runtime": {"backend": BACKEND},
        "mqtt": {"host": "127.0.0.1", "port": port},
        "outbox": {"path": "outbox.db", "confirm": "broker"},
        "evidence": {"dir": "evidence", "min_free_gb": 0},
    }
    path = folder / "box.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def test_a_box_judges_with_an_imported_network_as_offline_scoring_does(
    tmp_path: Path, broker: Broker, client: Callable[[str], Client]
) -> None:
    folder = tmp_path / "parts"
    write_parts(folder, train=24, normal=5, defective=5)
    bundle, parts = exported(tmp_path, folder), find_parts(folder)
    consumer = client(f"{TOPICS}/#")
    edgeflow("run", box_file(tmp_path, bundle, folder, broker.port))
    consumer.wait_for("/availability", "stopped")
    results = [json.loads(payload) for payload in consumer.payloads("/result")]
    decisions = [json.loads(payload) for payload in consumer.payloads("/decision")]
    expected = offline(bundle, parts)
    verdicts = {name: verdict for name, (verdict, _) in expected.items()}
    assert set(verdicts.values()) == {"OK", "NG"}
    assert {result["part_id"]: result["verdict"] for result in results} == verdicts
    assert [decision["verdict"] for decision in decisions] == [result["verdict"] for result in results]
    for result in results:
        assert result["score_raw"] == pytest.approx(expected[result["part_id"]][1], rel=1e-6)
