"""Results of costly stages: taken over where all that decides them is the same, else made anew."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from edgeflow.contracts.datasets.find_parts import find_parts
from edgeflow_export.checkpoints.checkpoint import load_checkpoint
from edgeflow_export.conversion.stage_results import StageResults, module_identity
from edgeflow_export.data.array_cache import Array
from edgeflow_export.data.dataset import load_dataset
from tests.support import tiny as product
from tests.support.tiny import TinyProduct


class Stage:
    """A stage that counts how often it runs."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self) -> dict[str, Array]:
        self.runs += 1
        return {"maps": np.full((2, 3), self.runs, np.float32)}


def test_result_is_taken_over_by_the_next_run_and_says_so(tmp_path: Path) -> None:
    stage, said = Stage(), []
    first = StageResults(tmp_path).kept("maps", ("graph", "parts"), stage)
    again = StageResults(tmp_path, say=said.append).kept("maps", ("graph", "parts"), stage)
    np.testing.assert_array_equal(first["maps"], again["maps"])
    assert stage.runs == 1
    assert said == ["taken over from an earlier export: maps"]


@pytest.mark.parametrize("other", [("graph", "other parts"), ("other graph", "parts")])
def test_other_inputs_never_meet_an_old_result(tmp_path: Path, other: tuple[str, str]) -> None:
    stage = Stage()
    StageResults(tmp_path).kept("maps", ("graph", "parts"), stage)
    assert StageResults(tmp_path).kept("maps", other, stage)["maps"][0, 0] == 2


def test_restart_makes_everything_anew(tmp_path: Path) -> None:
    stage = Stage()
    StageResults(tmp_path).kept("maps", ("graph",), stage)
    assert StageResults(tmp_path, reuse=False).kept("maps", ("graph",), stage)["maps"][0, 0] == 2
    assert StageResults(tmp_path).kept("maps", ("graph",), stage)["maps"][0, 0] == 2  # the new one was kept


def test_damaged_result_is_made_anew(tmp_path: Path) -> None:
    stage = Stage()
    StageResults(tmp_path).kept("maps", ("graph",), stage)
    (file,) = tmp_path.iterdir()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    assert StageResults(tmp_path).kept("maps", ("graph",), stage)["maps"][0, 0] == 2


def test_result_that_cannot_be_kept_does_not_stop_the_export(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    said: list[str] = []
    results = StageResults(tmp_path / "file" / "export", say=said.append)
    assert results.kept_files("graph", (), lambda: {"a/b.xml": b"<net/>"}) == {"a/b.xml": b"<net/>"}
    assert said[0].startswith("not kept, an interruption would repeat it: graph: ")


def test_files_keep_their_names_and_bytes(tmp_path: Path) -> None:
    files = {"openvino/int8.xml": b"<net/>", "openvino/int8.bin": bytes(range(256))}
    StageResults(tmp_path).kept_files("graph", ("a",), lambda: files)
    assert StageResults(tmp_path).kept_files("graph", ("a",), dict) == files


def test_longest_unused_results_go_first(tmp_path: Path) -> None:
    results, files = StageResults(tmp_path, most_bytes=3500), []
    for name in ("used of late", "long unused"):
        results.kept_files("graph", (name,), lambda: {"g": bytes(1000)})
        files += [path for path in tmp_path.iterdir() if path not in files]
    for path, age in zip(files, (10, 20), strict=True):
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    results.kept_files("graph", ("new",), lambda: {"g": bytes(1000)})
    assert [path.exists() for path in files] == [True, False]


def test_identities_follow_weights_images_and_views(tiny: TinyProduct, tmp_path: Path) -> None:
    with product.tests_on_path():
        model = load_checkpoint(tiny.checkpoint)
        data = load_dataset(model.recipe)
    before = module_identity(model.module)
    next(model.module.flow.parameters()).data.add_(1e-3)
    assert module_identity(model.module) != before
    parts = find_parts(tiny.parts)
    known = StageResults(tmp_path).parts_identity(parts[:2], data)
    assert known == StageResults(tmp_path).parts_identity(parts[:2], data)
    assert known != StageResults(tmp_path).parts_identity(parts[1:3], data)
