"""Recorded parts scored without a line."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeflow.backends.runner import ActualPlacement
from edgeflow.bundles.bundle import Bundle
from edgeflow.contracts.datasets.find_parts import RecordedPart, find_parts
from edgeflow.decision.recorded_parts import (
    ViewScore,
    doubtful_depth,
    find_bundle_parts,
    require_depth,
    save_maps,
    score_parts,
)
from edgeflow.errors import DataError, StorageError
from edgeflow.scoring.loading import choose_graph, make_scorer
from edgeflow.scoring.scorer import Scorer
from simulators.small_bundle import SIDE, VIEWS, small_bundle, two_graphs
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
            save_maps(bundle, scorer.thresholds, scored.part_id, scores, tmp_path)
    (folder,) = tmp_path.iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["C1.png", "C2.png", "C3.png", "maps.npz"]
    with np.load(folder / "maps.npz") as arrays:
        assert arrays["maps"].shape == (3, 8, 8)
        assert list(arrays["views"]) == ["C1", "C2", "C3"]


class Runner:
    """A graph whose maps are all ``value``."""

    placement = ActualPlacement(device="CPU", precision="f32", threads=1, streams=1)

    def __init__(self, value: float) -> None:
        self._value = value

    def run(self, images: np.ndarray) -> tuple[np.ndarray, ...]:
        return (np.full(images.shape[:3], self._value, np.float32),)

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Bundle]:
    with Bundle.open(small_bundle(tmp_path / "small.bundle")) as bundle:
        yield bundle


def small_scorer(bundle: Bundle, value: float) -> Scorer:
    """A scorer whose maps have this value everywhere."""
    return Scorer(bundle.manifest, Runner(value), bundle.manifest.reference_thresholds)


def recorded(folder: Path, part_id: str, value: int, depth: type = np.uint8) -> RecordedPart:
    """A part with an image per view of the small bundle."""
    images = {}
    shape = (SIDE, SIDE, 3) if depth is np.uint8 else (SIDE, SIDE)
    for view in VIEWS:
        images[view] = folder / f"{part_id}-{view}.png"
        Image.fromarray(np.full(shape, value, depth)).save(images[view])
    return RecordedPart(part_id=part_id, images=images, masks={}, label=None, split="test")


def without(part: RecordedPart, view: str) -> RecordedPart:
    return replace(part, images={each: file for each, file in part.images.items() if each != view})


def test_each_part_has_scores_verdict_and_reason_of_its_own(small: Bundle, tmp_path: Path) -> None:
    parts = tuple(recorded(tmp_path, f"p{n}", 40) for n in range(2))
    ((good, scores),) = list(score_parts(small, small_scorer(small, 500.0), parts[:1]))
    assert (good.part_id, good.verdict, good.reason) == ("p0", "OK", "")
    assert (good.score, good.score_raw) == (0.5, 500.0)
    assert good.views == tuple(ViewScore(id=view, score=0.5, score_raw=500.0) for view in VIEWS)
    assert scores is not None
    bad = [part for part, _ in score_parts(small, small_scorer(small, 2000.0), parts)]
    assert [(part.part_id, part.verdict) for part in bad] == [("p0", "NG"), ("p1", "NG")]
    assert bad[0].reason.startswith("score 2.00 is over the threshold")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_score_that_is_not_finite_is_absent(small: Bundle, tmp_path: Path, value: float) -> None:
    part = recorded(tmp_path, "p0", 40)
    ((odd, _),) = list(score_parts(small, small_scorer(small, value), (part,)))
    assert (odd.verdict, odd.score, odd.score_raw) == ("UNDECIDED", None, None)
    assert odd.views == tuple(ViewScore(id=view, score=None, score_raw=None) for view in VIEWS)


def test_a_part_without_a_view_has_no_scores_and_the_next_one_has(small: Bundle, tmp_path: Path) -> None:
    parts = (without(recorded(tmp_path, "p0", 40), "left"), recorded(tmp_path, "p1", 40))
    (lacking, none), (whole, scores) = score_parts(small, small_scorer(small, 1.0), parts)
    assert (lacking.part_id, lacking.verdict, lacking.reason) == ("p0", "UNDECIDED", "missing views: left")
    assert (lacking.score, lacking.score_raw, none) == (None, None, None)
    assert lacking.views == tuple(ViewScore(id=view, score=None, score_raw=None) for view in VIEWS)
    assert (whole.verdict, scores is not None) == ("OK", True)


def test_maps_are_kept_under_the_views_names(small: Bundle, tmp_path: Path) -> None:
    part = recorded(tmp_path, "p0", 40)
    ((_, scores),) = list(score_parts(small, small_scorer(small, 1.0), (part,)))
    assert scores is not None
    for _ in range(2):  # a second time is as good
        save_maps(small, small.manifest.reference_thresholds, "p0", scores, tmp_path / "deep" / "maps")
    folder = tmp_path / "deep" / "maps" / "p0"
    assert {file.name for file in folder.iterdir()} == {"top.png", "left.png", "maps.npz"}
    with np.load(folder / "maps.npz") as arrays:
        assert list(arrays["views"]) == list(VIEWS)
        assert (arrays["maps"] == scores.maps).all()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=f"{tmp_path / 'file'}: maps cannot be written: Not a directory"):
        save_maps(small, small.manifest.reference_thresholds, "p0", scores, tmp_path / "file")
    short = replace(scores, maps=scores.maps[:1])
    with pytest.raises(ValueError, match="shorter"):
        save_maps(small, small.manifest.reference_thresholds, "p1", short, tmp_path / "maps")


def test_files_of_eight_bits_have_no_doubtful_depth(small: Bundle, tmp_path: Path) -> None:
    parts = (recorded(tmp_path, "p0", 1), without(recorded(tmp_path, "p1", 1), "left"))
    require_depth(small, parts, allow_dark=False)
    assert doubtful_depth(small, parts) is None


def test_deep_files_that_use_little_of_their_range_are_doubtful(small: Bundle, tmp_path: Path) -> None:
    dark = (recorded(tmp_path, "dark", 500, np.uint16),)
    with pytest.raises(DataError, match="--allow-dark"):
        require_depth(small, dark, allow_dark=False)
    require_depth(small, dark, allow_dark=True)
    doubt = doubtful_depth(small, dark)
    assert doubt is not None
    assert "the scores are right" in doubt
    assert "the parts" in doubt
    assert doubtful_depth(small, (recorded(tmp_path, "bright", 60_000, np.uint16),)) is None


def test_files_of_different_depth_are_doubtful(small: Bundle, tmp_path: Path) -> None:
    mixed = (recorded(tmp_path, "p0", 60_000, np.uint16), recorded(tmp_path, "p1", 200))
    with pytest.raises(DataError, match="the parts"):
        require_depth(small, mixed, allow_dark=True)
    assert doubtful_depth(small, mixed) is not None


def test_each_graph_is_judged_by_its_own_thresholds(tmp_path: Path) -> None:
    part = recorded(tmp_path, "p0", 40)
    own = {}
    for graph, limit in (("onnxruntime-fp32", 1000.0), ("onnxruntime-int8", 30.0)):
        scale = {"centre": 0.0, "threshold": limit}
        own[graph] = {
            "part": scale,
            "views": dict.fromkeys(VIEWS, scale),
            "false_reject_rate": 0.01,
            "normal_parts": 99,
        }
    fields = {"thresholds": own["onnxruntime-fp32"], "graph_thresholds": own, **two_graphs()}
    with Bundle.open(small_bundle(tmp_path / "two.bundle", **fields)) as bundle:
        found = {}
        for graph in bundle.manifest.graphs:
            scorer = make_scorer(bundle, graph)
            ((judged, _),) = list(score_parts(bundle, scorer, (part,)))
            found[graph.id] = (judged.verdict, judged.score)
            scorer.close()
    assert found["onnxruntime-fp32"] == ("OK", pytest.approx(0.04))
    assert found["onnxruntime-int8"] == ("NG", pytest.approx(40 / 30))
