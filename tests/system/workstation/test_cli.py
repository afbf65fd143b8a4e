"""Commands as a user types them: what they print, and how they end."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest

import edgeflow
from edgeflow.bundles.bundle import Bundle
from edgeflow.cli.main import cli
from edgeflow.contracts.datasets.find_parts import find_parts
from faults.rewritten_bundles import manifest_of, rewritten
from tests.support.commands import commands_of
from tests.support.tiny import TinyProduct, search_path, write_recipe


def edgeflow_command(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgeflow.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=200,
        env={**os.environ, "PYTHONPATH": search_path(), "COLUMNS": "160"},
    )


def assert_refused(done: subprocess.CompletedProcess[str], code: int, *texts: str) -> None:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    for text in texts:
        assert text in done.stderr


def test_version_and_help() -> None:
    assert edgeflow.__version__ in edgeflow_command("--version").stdout
    shown = edgeflow_command("--help").stdout
    assert all(name in shown for name in cli.list_commands(click.Context(cli)))


COMMANDS = commands_of(cli)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_json_and_says_what_it_does(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    assert "json_output" in {parameter.name for parameter in command.params}


def test_score_prints_a_json_line_per_part(tiny: TinyProduct, tmp_path: Path) -> None:
    done = edgeflow_command("score", tiny.bundle, tiny.parts, "--json", "--maps", tmp_path / "maps")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 42
    first = lines[0]
    assert {"part_id", "verdict", "score", "score_raw", "views"} <= set(first)
    assert [set(view) for view in first["views"]] == [{"id", "score", "score_raw"}] * 3
    assert all(line["verdict"] == "NG" for line in lines if line["part_id"].startswith("spot"))
    assert all((line["score"] > 1) == (line["verdict"] == "NG") for line in lines)
    assert len(list((tmp_path / "maps").iterdir())) == 42


def test_table_of_scores_says_why_a_part_is_undecided(tiny: TinyProduct, tmp_path: Path) -> None:
    for number, part in enumerate(find_parts(tiny.parts)[:2]):
        folder = tmp_path / f"[b]part {number}"
        folder.mkdir()
        for view, file in part.images.items():
            shutil.copy(file, folder / f"{view}{file.suffix}")
    (tmp_path / "[b]part 1" / "C3.jpg").unlink()
    done = edgeflow_command("score", tiny.bundle, tmp_path)
    assert done.returncode == 0, done.stderr
    *table, reason, counts = done.stdout.splitlines()
    assert reason == "[b]part 1: missing views: C3"
    assert counts == "2 parts: 1 OK, 0 NG, 1 UNDECIDED"
    assert [line.split()[:3] for line in table if "part" in line][1:] == [
        ["[b]part", "0", "OK"],
        ["[b]part", "1", "UNDECIDED"],
    ]
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_export_and_calibrate_never_replace_a_file(tiny: TinyProduct, tmp_path: Path) -> None:
    taken = tmp_path / "disc.bundle"
    taken.write_bytes(b"an earlier bundle")
    for words in (["export", tiny.checkpoint], ["calibrate", tiny.bundle, tiny.parts]):
        done = edgeflow_command(*words, "-o", taken)
        assert_refused(done, 2, "disc.bundle: is there already", "give another name")
    assert taken.read_bytes() == b"an earlier bundle"
    assert list(tmp_path.iterdir()) == [taken]


def test_scores_that_are_not_finite_are_undecided(tiny: TinyProduct, tmp_path: Path) -> None:
    """Pixel statistics with a deviation of 0 make every score infinite or no number at all."""
    document = manifest_of(tiny.bundle)
    buffer = io.BytesIO()
    np.savez(buffer, mean=np.zeros((3, 8, 8), np.float32), std=np.zeros((3, 8, 8), np.float32))
    data = buffer.getvalue()
    from edgeflow.bundles.writer import file_records

    name = "scoring/pixel_statistics.npz"
    files = document["files"]
    assert isinstance(files, dict)
    files[name] = file_records({name: data})[name].model_dump()
    change = {"manifest.json": json.dumps(document).encode(), name: data}
    bad = rewritten(tiny.bundle, tmp_path / "bad.bundle", dict(change), {})
    done = edgeflow_command("score", bad, tiny.parts, "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["verdict"] for line in lines} == {"UNDECIDED"}
    assert lines[0]["score"] is None
    assert "not finite" in lines[0]["reason"]
    assert_refused(edgeflow_command("verify", bad), 3, "does not compute")


def test_inspect_and_verify_tell_people_and_machines(tiny: TinyProduct) -> None:
    shown = edgeflow_command("inspect", tiny.bundle).stdout
    assert "openvino-int8" in shown
    assert "30" not in shown.replace(str(tiny.bundle), "").split("normal", maxsplit=1)[0]
    document = json.loads(edgeflow_command("inspect", tiny.bundle, "--json").stdout)
    assert document["views"][0]["id"] == "C1"
    verified = json.loads(edgeflow_command("verify", tiny.bundle, "--json").stdout)
    assert {check["graph"] for check in verified["checks"]} == {
        graph["backend"] + "-" + graph["precision"] for graph in document["graphs"]
    }
    assert verified["failures"] == []
    assert {check["device"] for check in verified["checks"]} == {"CPU"}


def test_calibrate_writes_the_next_version_signed(tiny: TinyProduct, tmp_path: Path) -> None:
    assert edgeflow_command("keys", "new", tmp_path / "line").returncode == 0
    target = tmp_path / "disc.2.bundle"
    arguments = ("calibrate", tiny.bundle, tiny.parts, "-o", target, "--rate", 0.1, "--json")
    assert_refused(edgeflow_command(*arguments), 4, "only with --accept")
    assert not target.exists()
    arguments = (*arguments, "--accept")
    done = edgeflow_command(*arguments, "--sign", tmp_path / "line.key.pem")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["version"], found["signed"], found["graph"]) == (1, True, "openvino-fp32")
    assert found["thresholds"]["normal_parts"] == 36  # the six defective ones only make the curve
    assert found["thresholds"]["operating_curve"]
    assert found["thresholds"]["part"]["interval"]["low"] < found["thresholds"]["part"]["threshold"]
    assert edgeflow_command("keys", "check", target, "--trust", tmp_path / "line.pub.pem").returncode == 0
    people = edgeflow_command("calibrate", tiny.bundle, tiny.parts, "-o", tmp_path / "other")
    assert "version 2, not signed" in people.stdout
    assert "interval" in edgeflow_command("inspect", target).stdout


def test_calibrate_without_enough_parts_is_a_usage_error(tiny: TinyProduct, tmp_path: Path) -> None:
    with Bundle.open(tiny.bundle) as bundle:
        part = bundle.manifest.golden[0]
        for view, name in part.images.items():
            path = tmp_path / "parts" / "one" / f"{view}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bundle.read(name))
    done = edgeflow_command("calibrate", tiny.bundle, tmp_path / "parts", "-o", tmp_path / "b")
    assert_refused(done, 2, "1 good part(s); at least 10")
    assert not (tmp_path / "b").exists()


def test_unknown_device_is_a_hardware_error(tiny: TinyProduct) -> None:
    assert_refused(edgeflow_command("verify", tiny.bundle, "--device", "NPU"), 6, "NPU", "CPU")


def test_export_over_its_accuracy_budget_writes_nothing(tiny: TinyProduct, tmp_path: Path) -> None:
    write_recipe(
        tmp_path / "strict.yaml",
        tiny.parts,
        tolerance_int8=1e-9,
        int8_required=True,
        backends=["openvino"],
    )
    target = tmp_path / "strict.bundle"
    done = edgeflow_command("export", tiny.checkpoint, "-o", target, "--recipe", tmp_path / "strict.yaml")
    assert_refused(done, 4, "openvino-int8", "export.tolerance_int8", "nothing was written")
    assert [path.name for path in tmp_path.iterdir()] == ["strict.yaml"]


def test_export_without_int8_within_budget_says_so(tiny: TinyProduct, tmp_path: Path) -> None:
    write_recipe(tmp_path / "r.yaml", tiny.parts, tolerance_int8=1e-9, backends=["onnxruntime"])
    target = tmp_path / "float.bundle"
    done = edgeflow_command("export", tiny.checkpoint, "-o", target, "--recipe", tmp_path / "r.yaml")
    assert done.returncode == 0, done.stderr
    told, held = (
        float(re.findall(pattern, " ".join(text.split()))[0])
        for pattern, text in (
            (r"memory: about ([\d.]+) GB", done.stderr),
            (r"([\d.]+) GB of memory", done.stdout),
        )
    )
    assert held <= told  # the smallest model of all, on any machine
    note = "onnxruntime: fp32 only instead of int8; all convolutions:"
    assert note in " ".join(done.stdout.split())
    shown = " ".join(edgeflow_command("inspect", target).stdout.split())
    assert note in shown
    assert "onnxruntime-int8" not in shown.partition("note:")[0]


def test_export_over_its_parity_budget_writes_nothing(tiny: TinyProduct, tmp_path: Path) -> None:
    write_recipe(tmp_path / "strict.yaml", tiny.parts, tolerance_fp32=1e-12)
    done = edgeflow_command(
        "export", tiny.checkpoint, "-o", tmp_path / "b", "--recipe", tmp_path / "strict.yaml"
    )
    assert_refused(done, 3, "export.tolerance_fp32")
    assert not (tmp_path / "b").exists()


def test_recipe_that_does_not_fit_the_checkpoint_names_the_keys(tiny: TinyProduct, tmp_path: Path) -> None:
    write_recipe(tmp_path / "r.yaml", tiny.parts)
    text = (tmp_path / "r.yaml").read_text()
    (tmp_path / "r.yaml").write_text(re.sub(r"hidden: 4", "hidden: 5", text))
    done = edgeflow_command("export", tiny.checkpoint, "-o", tmp_path / "b", "--recipe", tmp_path / "r.yaml")
    assert_refused(done, 2, "flow")


def test_empty_folder_of_parts_says_what_was_expected(tiny: TinyProduct, tmp_path: Path) -> None:
    assert_refused(edgeflow_command("score", tiny.bundle, tmp_path), 2, "realiad_jsons")


def test_recipe_with_mistakes_reports_all_of_them(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(
        "name: x\ndata: {root: parts}\nimage: {height: 64, widht: 64}\n"
        "extractor: {kind: timm, model: resnet18, layer: x}\n"
    )
    done = edgeflow_command("train", tmp_path / "r.yaml")
    assert_refused(done, 2, "did you mean 'width'?", "extractor.layer", "image.width")
