"""The demo's parts as a box has inspected them: its box file, results, history and evidence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml
from PIL import Image

from edgeflow.config.box import load_config
from edgeflow.contracts.datasets.find_parts import find_parts
from edgeflow.contracts.messages import Result, from_json, to_json
from edgeflow.history.database.store import HistoryStore
from edgeflow.history.labelling import label_part
from edgeflow.history.records import HistoryEntry
from edgeflow.run_time import read_boot

DEMO = Path(__file__).parents[2] / "tools/demo"


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
                with Image.open(file) as image:
                    image.save(folder / f"{view}.png")
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


def labelled(box: Path, results: dict[str, Result]) -> list[Result]:
    """Label the ten lowest rejects OK and the next four NG; return all rejects, the lowest first."""
    history = load_config(box).history_path
    rejects = sorted((r for r in results.values() if r.verdict == "NG"), key=lambda r: r.score or 0.0)
    for result in rejects[:10]:
        label_part(history, result.part_id, "OK", by="Ann", source="cli")
    for result in rejects[10:14]:
        label_part(history, result.part_id, "NG", kind="dent", by="Ann", source="cli")
    return rejects
