"""``edgeflow evaluate`` as a user types it: what it writes, prints and refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from edgeflow.cli.main import cli
from edgeflow.errors import CheckpointError, EdgeflowError, StorageError
from edgeflow_export.cli.evaluate import find_checkpoints
from tests.support.tiny import TinyProduct

FILES = ["mistakes.png", "normal.png", "report.json", "roc.png", "scores.png"]


def edgeflow(*arguments: object) -> None:
    cli([str(argument) for argument in arguments], standalone_mode=False)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def runs(tiny: TinyProduct, tmp_path: Path) -> Path:
    """A folder with two runs."""
    for seed in ("seed1", "seed2"):
        (tmp_path / "runs" / seed).mkdir(parents=True)
        shutil.copy(tiny.checkpoint, tmp_path / "runs" / seed)
    return tmp_path / "runs"


def test_one_checkpoint_is_shown_with_its_classes(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edgeflow("evaluate", runs / "seed1" / "checkpoint.safetensors")
    shown = capsys.readouterr().out
    assert "spot" in shown
    assert "AUPRO" in shown
    assert "6 defective parts passed" in shown
    folder = runs / "seed1" / "evaluation"
    assert names(folder) == FILES
    assert json.loads((folder / "report.json").read_text())["schema"] == "edgeflow/evaluation/1"
    for name in FILES:
        if name.endswith(".png"):
            with Image.open(folder / name) as picture:
                assert min(picture.size) > 300


def test_second_run_replaces_the_first(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = runs / "out"
    folder.mkdir()
    (folder / "report.json").write_text("of an earlier run")
    (folder / "notes.txt").write_text("mine")
    edgeflow("evaluate", runs / "seed1" / "checkpoint.safetensors", "-o", folder, "--json")
    assert names(folder) == sorted([*FILES, "notes.txt"])
    assert json.loads((folder / "report.json").read_text()) == json.loads(capsys.readouterr().out)


def test_several_checkpoints_make_a_table_with_their_mean(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edgeflow("evaluate", runs)
    shown = capsys.readouterr().out
    rows = [line.split()[0] for line in shown.splitlines() if line.strip()]
    assert [row for row in rows if row in {"seed1", "seed2", "mean"}] == ["seed1", "seed2", "mean"]
    assert names(runs / "seed2" / "evaluation") == FILES


def test_failing_checkpoint_does_not_stop_the_others(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "seed1" / "checkpoint.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="1 of 2 checkpoints") as caught:
        edgeflow("evaluate", runs, "--json", "-o", runs / "out")
    assert caught.value.exit_code == 2
    assert "seed1" in caught.value.problems[0]
    document = json.loads(capsys.readouterr().out)
    assert [report["parts"] for report in document["reports"]] == [12]
    assert list(document["failures"]) == [str(runs / "seed1" / "checkpoint.safetensors")]
    assert names(runs / "out") == ["comparison.json", "seed1", "seed2"]
    assert names(runs / "out" / "seed1") == []
    assert names(runs / "out" / "seed2") == FILES


def test_checkpoints_are_found_two_levels_down(tmp_path: Path) -> None:
    wanted = [tmp_path / name / "checkpoint.safetensors" for name in ("", "cs_top", "tape/cs_neigh")]
    for path in [*wanted, tmp_path / "a" / "b" / "c" / "checkpoint.safetensors"]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    assert find_checkpoints([tmp_path, wanted[1]]) == tuple(wanted)


def test_nothing_to_evaluate_names_every_path(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="edgeflow train RECIPE") as caught:
        edgeflow("evaluate", tmp_path, tmp_path / "absent")
    assert caught.value.exit_code == 2
    assert len(caught.value.problems) == 2
    assert "no checkpoint.safetensors in this folder" in caught.value.problems[0]


def test_output_that_cannot_be_written_is_refused_before_the_work(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="give another --output") as caught:
        edgeflow("evaluate", runs / "seed1" / "checkpoint.safetensors", "-o", tmp_path / "file")
    assert caught.value.exit_code == 6


def test_refused_evaluation_writes_no_report(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(EdgeflowError, match="no such folder"):
        edgeflow(
            "evaluate",
            runs / "seed1" / "checkpoint.safetensors",
            "--parts",
            tmp_path / "x",
            "-o",
            tmp_path / "o",
        )
    assert names(tmp_path / "o") == []
