"""Recorded parts scored without a line."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from edgeflow.bundles.bundle import Bundle
from edgeflow.contracts.datasets.find_parts import find_parts
from edgeflow.decision.recorded_parts import find_bundle_parts, save_maps, score_parts
from edgeflow.errors import DataError
from edgeflow.scoring.loading import choose_graph, make_scorer
from tests.support.tiny import TinyProduct


def copy_as_folders(parts: Path, target: Path, count: int) -> None:
    """The last parts of a Real-IAD folder as one folder per part."""
    for part in find_parts(parts)[-count:]:
        folder = target / part.part_id.replace("/", "-")
        folder.mkdir(parents=True)
        for view, file in part.images.items():
            shutil.copy(file, folder / f"{view}{file.suffix}")


def test_both_back_ends_give_the_same_verdicts(tiny: TinyProduct) -> None:
    verdicts = {}
    with Bundle.open(tiny.bundle) as bundle:
        parts = find_bundle_parts(bundle, tiny.parts)
        for backend in ("openvino", "onnxruntime"):
            scorer = make_scorer(bundle, choose_graph(bundle, backend=backend, precision="fp32"))
            verdicts[backend] = [scored.verdict for scored, _ in score_parts(bundle, scorer, parts)]
    assert verdicts["openvino"] == verdicts["onnxruntime"]
    assert set(verdicts["openvino"]) == {"OK", "NG"}


def test_defects_are_found_in_the_view_that_shows_them(tiny: TinyProduct) -> None:
    with Bundle.open(tiny.bundle) as bundle:
        parts = [part for part in find_bundle_parts(bundle, tiny.parts) if part.defective]
        scorer = make_scorer(bundle, choose_graph(bundle, backend="openvino", precision="int8"))
        for scored, _ in score_parts(bundle, scorer, tuple(parts)):
            assert scored.verdict == "NG"
            assert max(scored.views, key=lambda view: view.score or 0).id == "C2"


def test_folder_per_part_gives_the_same_scores(tiny: TinyProduct, tmp_path: Path) -> None:
    copy_as_folders(tiny.parts, tmp_path, 3)
    with Bundle.open(tiny.bundle) as bundle:
        scorer = make_scorer(bundle, choose_graph(bundle, backend="onnxruntime", precision="fp32"))
        one = [s.score_raw for s, _ in score_parts(bundle, scorer, find_bundle_parts(bundle, tmp_path))]
        two = [
            s.score_raw for s, _ in score_parts(bundle, scorer, find_bundle_parts(bundle, tiny.parts)[-3:])
        ]
    assert one == two


def test_damaged_image_makes_its_part_undecided_and_the_next_is_scored(
    tiny: TinyProduct, tmp_path: Path
) -> None:
    copy_as_folders(tiny.parts, tmp_path, 2)
    first = min(tmp_path.iterdir())
    (first / "C2.jpg").write_bytes((first / "C2.jpg").read_bytes()[:200])
    with Bundle.open(tiny.bundle) as bundle:
        scorer = make_scorer(bundle, choose_graph(bundle, backend="openvino", precision="fp32"))
        scored = [s for s, _ in score_parts(bundle, scorer, find_bundle_parts(bundle, tmp_path))]
    assert scored[0].verdict == "UNDECIDED"
    assert "C2.jpg" in scored[0].reason
    assert scored[0].score is None
    assert scored[1].verdict == "NG"


def test_view_that_the_bundle_does_not_know_is_named(tiny: TinyProduct, tmp_path: Path) -> None:
    copy_as_folders(tiny.parts, tmp_path, 1)
    (folder,) = tmp_path.iterdir()
    shutil.copy(folder / "C1.jpg", folder / "bottom.jpg")
    with Bundle.open(tiny.bundle) as bundle, pytest.raises(DataError, match="problem") as caught:
        find_bundle_parts(bundle, tmp_path)
    assert any("bottom" in problem and "C1, C2, C3" in problem for problem in caught.value.problems)


def test_missing_view_is_named(tiny: TinyProduct, tmp_path: Path) -> None:
    copy_as_folders(tiny.parts, tmp_path, 2)
    victim = sorted(tmp_path.iterdir())[1]
    (victim / "C3.jpg").unlink()
    with Bundle.open(tiny.bundle) as bundle, pytest.raises(DataError) as caught:
        find_bundle_parts(bundle, tmp_path)
    assert caught.value.problems == (f"part {victim.name}: missing view C3",)


def test_part_without_one_of_its_views_is_undecided_and_the_others_are_scored(
    tiny: TinyProduct, tmp_path: Path
) -> None:
    copy_as_folders(tiny.parts, tmp_path, 2)
    first = min(tmp_path.iterdir())
    (first / "C3.jpg").unlink()
    with Bundle.open(tiny.bundle) as bundle:
        scorer = make_scorer(bundle, choose_graph(bundle, backend="onnxruntime", precision="fp32"))
        parts = find_bundle_parts(bundle, tmp_path, incomplete=True)
        scored = [s for s, _ in score_parts(bundle, scorer, parts)]
    assert [(s.verdict, s.score is None) for s in scored] == [("UNDECIDED", True), ("NG", False)]
    assert scored[0].reason == "missing views: C3"


def test_maps_are_written_as_pictures_and_numbers(tiny: TinyProduct, tmp_path: Path) -> None:
    with Bundle.open(tiny.bundle) as bundle:
        scorer = make_scorer(bundle, choose_graph(bundle, backend="openvino", precision="fp32"))
        parts = find_bundle_parts(bundle, tiny.parts)[-1:]
        for scored, scores in score_parts(bundle, scorer, parts):
            assert scores is not None
            save_maps(bundle, scored.part_id, scores, tmp_path)
    (folder,) = tmp_path.iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["C1.png", "C2.png", "C3.png", "maps.npz"]
    with np.load(folder / "maps.npz") as arrays:
        assert arrays["maps"].shape == (3, 8, 8)
        assert list(arrays["views"]) == ["C1", "C2", "C3"]
