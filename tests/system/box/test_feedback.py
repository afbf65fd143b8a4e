"""Ten demo rejects relabelled OK, recalibrated, replayed: the change shown beforehand is what happens."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgeflow.config.box import load_config
from edgeflow.contracts.datasets.find_parts import find_parts
from edgeflow.contracts.messages import Result, from_json, to_json
from edgeflow.history.database.store import HistoryStore
from edgeflow.history.labelling import label_part
from edgeflow.history.records import HistoryEntry
from edgeflow.run_time import read_boot

DEMO = Path(__file__).parents[3] / "tools/demo"


def edgeflow(*words: object) -> str:
    command = [sys.executable, "-m", "edgeflow.cli", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def demo_box(folder: Path) -> Path:
    document = yaml.safe_load((DEMO / "box.yaml").read_text())
    document["bundle"] = str(DEMO / "housing.bundle")
    for camera in document["cameras"].values():
        camera["parts"] = str(DEMO / "parts")
    document["runtime"]["threads"] = 1
    document["outbox"]["path"] = "state/outbox.db"
    document["evidence"]["dir"] = "evidence"
    path = folder / "box.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def replayed(box: Path, *more: object) -> dict[str, Result]:
    """Part id → result, of every part of the demo as the box decides it."""
    lines = edgeflow("replay", box, DEMO / "parts", "--json", *more).splitlines()
    results = [from_json(Result, line.encode()) for line in lines if '"result_id"' in line]
    return {result.part_id: result for result in results}


def inspected(box: Path, results: dict[str, Result]) -> None:
    """The history and the evidence that a box would have of these results: images of its rejects alone."""
    config = load_config(box)
    assert config.evidence is not None
    images = {part.part_id: part.images for part in find_parts(DEMO / "parts")}
    entries = []
    for number, result in enumerate(results.values()):
        folder = config.evidence.dir / "2026-11-28" / f"r-{number}"
        named = result.model_copy(update={"result_id": f"r-{number}", "evidence": str(folder)})
        if result.verdict == "OK":
            named = named.model_copy(update={"evidence": None})
        else:
            folder.mkdir(parents=True)
            for view, file in images[result.part_id].items():
                shutil.copy(file, folder / f"{view}{file.suffix}")
            (folder / "result.json").write_bytes(to_json(named))
        kept = None if result.verdict == "OK" else "verdict"
        entries.append(
            HistoryEntry(result=named, bundle_version=2, has_foreground=True, kept=kept)  # type: ignore[arg-type]
        )
    config.history_path.parent.mkdir(parents=True, exist_ok=True)
    boot = read_boot()
    store = HistoryStore(config.history_path, boot)
    store.write(entries, [], boot)
    store.close()


@pytest.mark.long
def test_the_change_shown_before_is_what_happens(tmp_path: Path) -> None:
    box = demo_box(tmp_path)
    before = replayed(box)
    assert len(before) == 48
    inspected(box, before)
    history = load_config(box).history_path
    rejects = sorted((r for r in before.values() if r.verdict == "NG"), key=lambda r: r.score or 0.0)
    for result in rejects[:10]:
        label_part(history, result.part_id, "OK", by="Ann", source="cli")
    for result in rejects[10:14]:
        label_part(history, result.part_id, "NG", kind="dent", by="Ann", source="cli")
    edgeflow("evidence", "export", box, "--labelled", "-o", tmp_path / "reviewed")
    bundle, page, new = DEMO / "housing.bundle", tmp_path / "change.html", tmp_path / "next.bundle"
    shown: dict[str, Any] = json.loads(
        edgeflow("calibrate", bundle, box, "--rate", 0.03, "--html", page, "--json")
    )["preview"]
    again = json.loads(
        edgeflow("calibrate", bundle, tmp_path / "reviewed", "--rate", 0.03, "-o", new, "--accept", "--json")
    )
    assert again["preview"]["thresholds"] == shown["thresholds"], "box and export say the same"
    after = replayed(box, "--set", f"bundle={new}")
    turned = {name: (r.verdict, after[name].verdict) for name, r in before.items()}
    happened = {name: pair for name, pair in turned.items() if pair[0] != pair[1]}
    assert {found["part_id"]: (found["verdict"], found["would_be"]) for found in shown["turned"]} == happened
    assert len(happened) >= 8, "nearly all of the ten pass now"
    assert shown["moved"] > 1.5
    assert shown["labelled_ng"] == 4
    passing = sum(after[r.part_id].verdict == "OK" for r in rejects[10:14])
    assert len(shown["labelled_ng_passing"]) == passing
    text = page.read_text()
    assert text.count("<section>") == len(happened)
    assert text.count("data:image/jpeg;base64,") == 5 * len(happened)
