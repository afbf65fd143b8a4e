"""A bundle's graphs measured on labelled parts, in any of the layouts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeflow.cli.main import cli
from edgeflow.errors import DataError, UsageError
from edgeflow_export.evaluation.bundle import evaluate_bundle
from edgeflow_export.evaluation.evaluate import evaluate
from simulators.small_bundle import SIDE, VIEWS, small_bundle
from tests.support.tiny import TinyProduct, write_recipe


def write_part(folder: Path, level: float) -> None:
    """A part of the small bundle; its score is about its level."""
    rng = np.random.default_rng(abs(hash(folder.name)) % 1000)
    for view in VIEWS:
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.normal(level, 3, (SIDE, SIDE, 3)).clip(0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{view}.png")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    scale = {"centre": 100.0, "threshold": 150.0}
    thresholds = {
        "part": scale,
        "views": dict.fromkeys(VIEWS, scale),
        "false_reject_rate": 0.1,
        "normal_parts": 30,
    }
    return small_bundle(tmp_path / "b.bundle", thresholds=thresholds)


def test_sorted_folders_without_masks_give_recall_and_part_auroc(bundle: Path, tmp_path: Path) -> None:
    for number in range(4):
        write_part(tmp_path / "parts" / "good" / f"g{number}", 100)
        write_part(tmp_path / "parts" / "dent" / f"d{number}", 120 if number == 0 else 200)
    report = evaluate_bundle(bundle, parts=tmp_path / "parts", progress=False).report
    assert (report.parts, report.defective_parts) == (8, 4)
    assert report.part_auroc == 1.0
    assert report.recall == 0.75
    assert report.false_reject_rate == 0.0
    assert [part.part_id for part in report.false_accepts or ()] == ["dent/d0"]
    assert report.model.executed == "onnxruntime-fp32"
    assert (report.view_auroc, report.pixel_auroc, report.aupro) == (None, None, None)


def test_one_kind_of_parts_alone_is_refused(bundle: Path, tmp_path: Path) -> None:
    write_part(tmp_path / "parts" / "good" / "g", 100)
    with pytest.raises(DataError, match="1 normal and 0 defective"):
        evaluate_bundle(bundle, parts=tmp_path / "parts", progress=False)
    with pytest.raises(UsageError, match="--parts"):
        evaluate_bundle(bundle, parts=None)


def test_command_takes_a_bundle_and_writes_its_report(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        write_part(tmp_path / "parts" / "test" / "good" / f"g{number}", 100)
        write_part(tmp_path / "parts" / "test" / "dent" / f"d{number}", 200)
    arguments = ["evaluate", str(bundle), "--parts", str(tmp_path / "parts"), "-o", str(tmp_path / "out")]
    cli(arguments, standalone_mode=False)
    shown = capsys.readouterr().out
    assert "the highest pixel" in shown
    assert "part AUROC from the same maps under other scorings" in shown
    document = json.loads((tmp_path / "out" / "report.json").read_text())
    assert document["poolings"]["the mean"] == {"mean": 1.0, "max": 1.0}
    assert not (tmp_path / "out" / "normal.png").exists()


@pytest.mark.parametrize(
    ("option", "remedy"),
    [
        (["--graph", "onnxruntime-fp32"], "name a graph with --bundle-graph"),
        (["--recipe", "r"], "leave it out"),
    ],
)
def test_an_option_without_effect_on_a_bundle_is_refused(
    bundle: Path, option: list[str], remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_recipe(tmp_path / "r", tmp_path)
    with pytest.raises(UsageError, match=f"{option[0]} does not go with a bundle; {remedy}"):
        cli(["evaluate", str(bundle), "--parts", str(tmp_path), *option], standalone_mode=False)


def test_nearly_black_parts_of_more_bits_are_told(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for label, level in (("good", 100), ("dent", 200)):
        write_part(tmp_path / "parts" / label / "a", level)
    for file in (tmp_path / "parts").rglob("*.png"):
        Image.fromarray(np.asarray(Image.open(file).convert("L")).astype(np.uint16) * 16).save(file)
    told = "warning: the parts: values up to .* of 65535: is this 12-bit data"
    cli(["evaluate", str(bundle), "--parts", str(tmp_path / "parts")], standalone_mode=False)
    assert re.search(told, capsys.readouterr().err)
    cli(["score", str(bundle), str(tmp_path / "parts"), "--json"], standalone_mode=False)
    assert re.search(told, capsys.readouterr().err)


def test_every_graph_of_a_bundle_ranks_as_its_checkpoint_does(tiny: TinyProduct) -> None:
    torch = evaluate(tiny.checkpoint, progress=False).report
    for graph, limit in (("openvino-fp32", 1e-6), ("onnxruntime-fp32", 1e-6), ("openvino-int8", 0.2)):
        report = evaluate_bundle(tiny.bundle, parts=tiny.parts, graph_id=graph, progress=False).report
        assert report.part_auroc == pytest.approx(torch.part_auroc, abs=limit)
        assert report.pixel_auroc == pytest.approx(torch.pixel_auroc, abs=max(limit, 1e-3))
        assert set(report.poolings) == set(torch.poolings)
        assert (report.parts, report.model.executed) == (12, graph)


def test_export_and_evaluate_name_one_part_auroc(tiny: TinyProduct) -> None:
    """Both rank the test parts alone; the held-out parts that set the threshold are no test."""
    from edgeflow.bundles.bundle import Bundle

    torch = evaluate(tiny.checkpoint, progress=False).report
    with Bundle.open(tiny.bundle) as opened:
        for accuracy in opened.manifest.accuracy:
            assert accuracy.part_auroc_reference == pytest.approx(torch.part_auroc, abs=1e-6)
