"""An export of labelled evidence is read by all four: find_parts, train, evaluate and calibrate."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edgeflow.bundles.bundle import Bundle
from edgeflow.calibration.next_version import reference_graph
from edgeflow.contracts.datasets.find_parts import find_parts
from edgeflow.contracts.images import read_image
from edgeflow.contracts.messages import BundleInfo, Result, VerdictName, to_json
from edgeflow.history.database.store import HistoryStore
from edgeflow.history.labelled_export import export_labelled
from edgeflow.history.labelling import label_part
from edgeflow.history.reader import HistoryReader
from edgeflow.history.records import HistoryEntry
from edgeflow.run_time import read_boot
from edgeflow.scoring.loading import make_scorer
from simulators.results import simulated_result
from tests.support.tiny import TinyProduct, search_path, write_recipe

AT = datetime(2026, 11, 28, 12, tzinfo=UTC)
REGION = {"view": "C2", "x": 3, "y": 4, "width": 10, "height": 12}


def edgeflow(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgeflow.cli", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        env={**os.environ, "PYTHONPATH": search_path(), "COLUMNS": "80"},
    )


def inspected(tiny: TinyProduct, folder: Path) -> list[tuple[Result, bool]]:
    """Results of all tiny parts as a box has them that keeps every part; True for the defective ones."""
    found = []
    with Bundle.open(tiny.bundle) as bundle:
        graph = reference_graph(bundle.manifest, None)
        scorer = make_scorer(bundle, graph)
        info = BundleInfo(name="disc", sha256=bundle.sha256, backend=graph.backend, precision=graph.precision)
        limit = bundle.manifest.thresholds_of(graph).part.threshold
        for number, part in enumerate(find_parts(tiny.parts)):
            scores = scorer.score({view: read_image(file) for view, file in part.images.items()}, ask="all")
            verdict: VerdictName = "NG" if scores.part > limit else "OK"
            result = simulated_result(number, AT, dict(scores.views)).model_copy(
                update={"bundle": info, "score_raw": scores.part, "verdict": verdict}
            )
            place = folder / "2026-11-28" / result.result_id
            place.mkdir(parents=True)
            for view, file in part.images.items():
                shutil.copy(file, place / f"{view}{file.suffix}")
            result = result.model_copy(update={"evidence": str(place)})
            (place / "result.json").write_bytes(to_json(result))
            found.append((result, bool(part.defective)))
        scorer.close()
    return found


@pytest.fixture(scope="module")
def export(tiny: TinyProduct, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All parts of the tiny product, the rejects among them labelled as they are."""
    folder = tmp_path_factory.mktemp("box")
    results = inspected(tiny, folder / "evidence")
    boot = read_boot()
    store = HistoryStore(folder / "history.db", boot)
    store.write(
        [
            HistoryEntry(result=result, bundle_version=1, has_foreground=False, kept="verdict")
            for result, _ in results
        ],
        [],
        boot,
    )
    store.close()
    for result, defective in results:
        if defective:
            label_part(
                folder / "history.db",
                result.result_id,
                "NG",
                kind="dent",
                regions=[REGION],
                by="Ann",
                source="cli",
            )
        elif result.verdict == "NG":
            label_part(folder / "history.db", result.result_id, "OK", by="Ann", source="cli")
    with HistoryReader(folder / "history.db") as reader:
        export_labelled(reader, folder / "reviewed")
    return folder / "reviewed"


def test_parts_are_found_with_their_labels(export: Path) -> None:
    labels = [part.label for part in find_parts(export)]
    assert labels.count("dent") == 6
    assert labels.count(None) + labels.count("OK") == 36


@pytest.mark.long
def test_train_learns_from_good_parts_alone(export: Path, tmp_path: Path) -> None:
    write_recipe(tmp_path / "recipe.yaml", export)
    done = edgeflow("train", tmp_path / "recipe.yaml", "-o", tmp_path / "run", "--json")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "checkpoint.safetensors").is_file()


@pytest.mark.long
def test_evaluate_measures_labelled_parts_and_takes_no_region_for_a_mask(
    export: Path, tiny: TinyProduct, tmp_path: Path
) -> None:
    done = edgeflow("evaluate", tiny.bundle, "--parts", export, "-o", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    text = json.dumps(json.loads(done.stdout))
    assert '"pixel_auroc": null' in text
    assert '"part_auroc": null' not in text


def test_calibrate_shows_what_would_change_and_writes_nothing(
    export: Path, tiny: TinyProduct, tmp_path: Path
) -> None:
    done = edgeflow("calibrate", tiny.bundle, export, "--rate", 0.1, "--html", tmp_path / "change.html")
    assert done.returncode == 0, done.stderr
    assert "nothing was written: -o NEW.bundle writes it" in done.stdout
    assert "of 6 parts labelled NG" in done.stdout
    assert "36 good parts in the history" in " ".join(done.stdout.split())
    assert (tmp_path / "change.html").read_text().startswith("<!doctype html>")
    plain = edgeflow("calibrate", tiny.bundle, tiny.parts, "--rate", 0.1)
    assert plain.returncode == 2
    assert "give -o" in plain.stderr
    assert list(tmp_path.iterdir()) == [tmp_path / "change.html"]
