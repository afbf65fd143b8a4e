"""``edgeflow replay``: what a box decided comes out again, and what it did not is told."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from edgeflow.contracts.datasets.find_parts import find_parts
from tests.support.tiny import VIEWS, TinyProduct

NOBODY_LISTENS = 9  # the discard port: the line runs without a broker


def edgeflow(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgeflow.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)


def box(tiny: TinyProduct, folder: Path) -> Path:
    document = {
        "station": {"site": "plant", "line": "l1", "station": "s1"},
        "bundle": str(tiny.bundle),
        "trigger": {"source": "interval", "period_ms": 150, "timeout_ms": 1000},
        "cameras": {view: {"kind": "replay", "parts": str(tiny.parts)} for view in VIEWS},
        "sync": {"max_skew_ms": 500},
        "decision": {"deadline_ms": 10_000},
        "runtime": {"backend": "openvino", "precision": "int8"},
        "mqtt": {"host": "127.0.0.1", "port": NOBODY_LISTENS},
        "outbox": {"path": "outbox.db"},
    }
    path = folder / "box.yaml"
    path.write_text(json.dumps(document))  # JSON is YAML
    return path


def test_a_part_without_one_of_its_views_is_decided_as_the_box_would(
    tiny: TinyProduct, tmp_path: Path
) -> None:
    for part in find_parts(tiny.parts)[:3]:
        folder = tmp_path / "recorded" / part.part_id.replace("/", "_")
        folder.mkdir(parents=True)
        for view, file in part.images.items():
            shutil.copy(file, folder / f"{view}{file.suffix}")
    recorded = sorted((tmp_path / "recorded").iterdir())
    (recorded[1] / "C3.jpg").unlink()

    def decided(*more: str) -> list[dict[str, object]]:
        done = edgeflow("replay", box(tiny, tmp_path), tmp_path / "recorded", "--json", *more)
        assert done.returncode == 0, done.stderr
        return [line for line in map(json.loads, done.stdout.splitlines()) if "result_id" in line]

    whole, lacking, after = decided()
    assert [whole["part_id"], lacking["part_id"], after["part_id"]] == [folder.name for folder in recorded]
    assert lacking["verdict"] == "UNDECIDED"
    assert "C3" in str(lacking["reason"])
    assert lacking["score"] is None
    assert "UNDECIDED" not in {whole["verdict"], after["verdict"]}

    _, degraded, _ = decided("--set", "sync.on_missing=degraded", "--set", "sync.min_views=2")
    assert degraded["verdict"] != "UNDECIDED"
    assert "C3" in str(degraded["reason"])
    assert degraded["score"] is not None


def test_the_parts_of_a_line_are_decided_again_bit_by_bit(tiny: TinyProduct, tmp_path: Path) -> None:
    path = box(tiny, tmp_path)
    ran = edgeflow("run", path, "--json")
    assert ran.returncode == 0, ran.stderr
    results = tmp_path / "results.jsonl"
    scored = [line for line in ran.stdout.splitlines() if json.loads(line).get("score_raw") is not None]
    assert len(scored) > 20, "the line was too slow for its period; nothing to compare"
    results.write_text("\n".join(scored))

    again = edgeflow("replay", path, tiny.parts, "--expect", results, "--exact", "--quiet", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["parts"] == 42

    changed = json.loads(scored[3])
    changed["score_raw"] += 1e-6
    results.write_text("\n".join([*scored[:3], json.dumps(changed)]))
    other = edgeflow("replay", path, tiny.parts, "--expect", results, "--exact", "--quiet")
    assert other.returncode == 3
    assert f"part {changed['part_id']}: score_raw was" in other.stderr

    within = edgeflow("replay", path, tiny.parts, "--expect", results, "--quiet")
    assert within.returncode == 0, within.stderr
    assert "4 parts, 3 the same bit by bit; largest relative difference" in within.stderr

    changed["part_id"] = "of another day"
    results.write_text(json.dumps(changed))
    foreign = edgeflow("replay", path, tiny.parts, "--expect", results)
    assert foreign.returncode == 2
    assert "part ids have to agree" in foreign.stderr
