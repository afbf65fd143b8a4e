"""A bundle's thresholds done again from the box's own good parts: the next version, or nothing."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeflow.backends.runner import Placement
from edgeflow.bundles.bundle import Bundle
from edgeflow.calibration.recalibrate import recalibrate
from edgeflow.contracts.datasets.find_parts import RecordedPart, find_parts
from edgeflow.contracts.images import read_image
from edgeflow.contracts.manifest import subset_key
from edgeflow.contracts.preprocess import blank_image
from edgeflow.errors import AccuracyError, ConfigError, DataError, ParityError, UsageError
from edgeflow.scoring.loading import choose_graph, make_scorer
from edgeflow.scoring.verification import verify_graph
from edgeflow.security.keys import new_key, read_private_key, trusted_keys
from faults.rewritten_bundles import manifest_of
from simulators.small_bundle import VIEWS, colour_mean, small_bundle, two_graphs
from tests.support.tiny import TinyProduct

SIDE = 8


def write_good_parts(root: Path, count: int, *, level: float = 100.0) -> tuple[RecordedPart, ...]:
    """Parts whose colour means, and so their scores, lie about a level."""
    rng = np.random.default_rng(7)
    for number in range(count):
        for view in VIEWS:
            path = root / f"p{number:03d}" / f"{view}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = rng.normal(level + rng.normal(0, 5), 3, (SIDE, SIDE, 3)).clip(0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(path)
    return find_parts(root)


def part_scores(path: Path, parts: tuple[RecordedPart, ...]) -> list[float]:
    with Bundle.open(path) as bundle:
        scorer = make_scorer(bundle, choose_graph(bundle, backend="onnxruntime", precision="fp32"))
        return [
            scorer.score({view: read_image(image) for view, image in part.images.items()}).part
            for part in parts
        ]


def test_new_thresholds_make_the_next_version_and_leave_the_rest_alone(tmp_path: Path) -> None:
    source = small_bundle(tmp_path / "old.bundle", version=4)
    parts = write_good_parts(tmp_path / "parts", 30)
    target = tmp_path / "new.bundle"
    with Bundle.open(source) as bundle:
        done = recalibrate(bundle, parts, target, rate=0.1, accept=True)
    before, after = manifest_of(source), manifest_of(target)
    changed = {key for key in after if after[key] != before[key]}
    assert changed == {"thresholds", "graph_thresholds", "version", "provenance"}
    assert after["version"] == done.version == 5
    rejected = [score > done.after.part.threshold for score in part_scores(target, parts)]
    assert sum(rejected) == 2  # the rank is ceil(31 · 0.9)
    assert done.after.normal_parts == 30
    assert after["provenance"]["calibrated_from"]  # type: ignore[index]
    with Bundle.open(target) as bundle:
        assert bundle.sha256 == done.sha256
        assert bundle.signature is None
        verify_graph(bundle, bundle.manifest.graphs[0])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.bundle", "old.bundle", "parts"]


def test_rate_is_the_bundle_s_own_unless_another_is_given(tmp_path: Path) -> None:
    parts = write_good_parts(tmp_path / "parts", 12)
    with Bundle.open(small_bundle(tmp_path / "b")) as bundle:
        done = recalibrate(bundle, parts, tmp_path / "new", accept=True)
    assert done.after.false_reject_rate == 0.01
    assert done.after.part.method == "highest"
    assert done.after.note is not None


def test_golden_part_whose_verdict_changes_is_named(tmp_path: Path) -> None:
    """The golden part scores about 170; by the old threshold of 1000 it was OK."""
    parts = write_good_parts(tmp_path / "parts", 20)
    with Bundle.open(small_bundle(tmp_path / "b")) as bundle:
        done = recalibrate(bundle, parts, tmp_path / "new", accept=True)
    assert done.changed == ("p1: OK before, NG now",)


def calibrated(path: Path, *, threshold: float, defective: tuple[float, ...] = ()) -> Path:
    """The small bundle as if good parts about 100 had been its normal ones."""
    scale = {"centre": 100.0, "threshold": threshold}
    thresholds = {
        "part": scale,
        "views": dict.fromkeys(VIEWS, scale),
        "false_reject_rate": 0.1,
        "normal_parts": 30,
        "labelled": {"defective": defective, "defective_parts": len(defective)} if defective else None,
    }
    return small_bundle(path, thresholds=thresholds, version=3)


def test_repeated_parts_are_refused_by_name(tmp_path: Path) -> None:
    first = write_good_parts(tmp_path / "parts", 12)
    for part in first[:8]:
        shutil.copytree(part.images["top"].parent, tmp_path / "parts" / f"{part.part_id}-again")
    parts = find_parts(tmp_path / "parts")
    with Bundle.open(small_bundle(tmp_path / "b")) as bundle, pytest.raises(DataError) as caught:
        recalibrate(bundle, parts, tmp_path / "new", accept=True)
    assert len(caught.value.problems) == 8
    assert "the picture of view top is that of part p000" in caught.value.problems[0]
    assert not (tmp_path / "new").exists()


def test_a_camera_that_stood_still_is_a_repetition_too(tmp_path: Path) -> None:
    parts = write_good_parts(tmp_path / "parts", 12)
    Image.open(parts[0].images["left"]).save(parts[5].images["left"], optimize=True)
    with Bundle.open(small_bundle(tmp_path / "b")) as bundle, pytest.raises(DataError) as caught:
        recalibrate(bundle, parts, tmp_path / "new", accept=True)
    assert caught.value.problems == ("part p005: the picture of view left is that of part p000",)


@pytest.mark.parametrize(("threshold", "moves"), [(140.0, False), (112.0, True), (300.0, True)])
def test_threshold_that_moves_far_is_taken_only_where_it_is_accepted(
    tmp_path: Path, threshold: float, moves: bool
) -> None:
    parts = write_good_parts(tmp_path / "parts", 30, level=130)
    source = calibrated(tmp_path / "b", threshold=threshold)
    with Bundle.open(source) as bundle:
        if moves:
            with pytest.raises(AccuracyError, match="only with --accept; nothing was written") as caught:
                recalibrate(bundle, parts, tmp_path / "new")
            assert caught.value.exit_code == 4
            assert not (tmp_path / "new").exists()
        done = recalibrate(bundle, parts, tmp_path / "new", accept=moves)
    assert (abs(done.effect.moved["part"] - 1) > 0.25) == moves


def test_what_the_new_threshold_lets_pass_is_told_in_numbers(tmp_path: Path) -> None:
    """Two of the good parts are far brighter: defects that nobody took out."""
    parts = write_good_parts(tmp_path / "parts", 30)
    for part, value in ((parts[4], 180), (parts[9], 200)):
        for number, view in enumerate(VIEWS):
            Image.fromarray(np.full((SIDE, SIDE, 3), value + number, np.uint8)).save(part.images[view])
    source = calibrated(tmp_path / "b", threshold=115.0, defective=(120.0, 130.0, 140.0, 150.0, 250.0))
    with Bundle.open(source) as bundle, pytest.raises(AccuracyError) as caught:
        recalibrate(bundle, parts, tmp_path / "new", rate=0.03)
    defective, good, suspects = caught.value.problems
    assert "defective parts, 5 of 5 (100.0%) are rejected by the bundle as it is, 1 of 5 (20.0%)" in defective
    assert good.startswith("of the 30 good parts, 2 are rejected by the bundle as it is, 0 ")
    assert "may be defective parts among the good ones: p009 (6." in suspects
    assert "p004" in suspects


def test_most_parts_over_the_threshold_are_another_scene_and_no_defects(tmp_path: Path) -> None:
    parts = write_good_parts(tmp_path / "parts", 20, level=150)
    with (
        Bundle.open(calibrated(tmp_path / "b", threshold=110.0)) as bundle,
        pytest.raises(AccuracyError) as caught,
    ):
        recalibrate(bundle, parts, tmp_path / "new")
    assert "most good parts score over the bundle's threshold" in caught.value.problems[-1]


def test_scores_of_defective_parts_stay_with_the_bundle(tmp_path: Path) -> None:
    parts = write_good_parts(tmp_path / "parts", 20)
    source = calibrated(tmp_path / "b", threshold=109.0, defective=(150.0, 250.0))
    with Bundle.open(source) as bundle:
        done = recalibrate(bundle, parts, tmp_path / "new")
    assert done.after.labelled == done.before.labelled is not None
    assert done.effect.recall_now is not None
    assert str(done.effect.recall_now) == "2 of 2 (100.0%)"


def test_two_bundles_never_share_a_version_and_none_is_replaced(tmp_path: Path) -> None:
    parts = write_good_parts(tmp_path / "parts", 20)
    source = calibrated(tmp_path / "b", threshold=109.0)
    small_bundle(tmp_path / "other", name="hinge", version=90)
    (tmp_path / "notes.txt").write_text("no bundle")
    with Bundle.open(source) as bundle:
        versions = [recalibrate(bundle, parts, tmp_path / name).version for name in ("one", "two", "three")]
        assert versions == [4, 5, 6]
        with pytest.raises(UsageError, match="is there already"):
            recalibrate(bundle, parts, tmp_path / "two")
    assert manifest_of(tmp_path / "two")["version"] == 5


def test_signed_bundle_is_signed_again_only_with_a_key(tmp_path: Path) -> None:
    pair = new_key(tmp_path / "keys" / "line", None)
    key = read_private_key(pair.private, None)
    parts = write_good_parts(tmp_path / "parts", 20)
    with Bundle.open(small_bundle(tmp_path / "b", signer=key)) as bundle:
        recalibrate(bundle, parts, tmp_path / "plain", accept=True)
        recalibrate(bundle, parts, tmp_path / "signed", accept=True, signer=key)
    with Bundle.open(tmp_path / "plain") as bundle:
        assert bundle.signature is None
    Bundle.open(tmp_path / "signed", trusted=trusted_keys([pair.public])).close()


def test_missing_views_are_calibrated_again_with_blank_images(tmp_path: Path) -> None:
    scale = {"centre": 0.0, "threshold": 1000.0}
    thresholds = {
        "part": scale,
        "views": dict.fromkeys(VIEWS, scale),
        "subsets": {"top": scale},
        "false_reject_rate": 0.1,
        "normal_parts": 9,
    }
    source = small_bundle(tmp_path / "b", thresholds=thresholds)
    parts = write_good_parts(tmp_path / "parts", 20)
    with Bundle.open(source) as bundle:
        found = recalibrate(bundle, parts, tmp_path / "new", accept=True).after
    # Each view of this graph is scored by itself: without the other, the part's score is the view's.
    assert found.subsets[subset_key(["top"])].threshold == pytest.approx(found.views["top"].threshold)
    assert set(found.subsets) == {"top"}


def test_evidence_of_a_rejected_part_is_not_taken_for_a_good_one(tmp_path: Path) -> None:
    source = small_bundle(tmp_path / "old.bundle")
    write_good_parts(tmp_path / "parts", 30)
    record = {"schema": "edgeflow/result/1", "result_id": "p004", "verdict": "NG"}
    (tmp_path / "parts/p004/result.json").write_text(json.dumps(record))
    with Bundle.open(source) as bundle, pytest.raises(DataError) as caught:
        recalibrate(bundle, find_parts(tmp_path / "parts"), tmp_path / "new.bundle", accept=True)
    assert caught.value.problems == ("part p004: the box judged it NG",)
    assert not (tmp_path / "new.bundle").exists()


def test_too_few_good_parts_are_refused(tmp_path: Path) -> None:
    parts = write_good_parts(tmp_path / "parts", 12)
    labelled = tuple(dataclasses.replace(part, label="scratch") for part in parts[:3])
    with Bundle.open(small_bundle(tmp_path / "b")) as bundle:
        with pytest.raises(DataError, match=r"9 good part.*at least 10"):
            recalibrate(bundle, (*labelled, *parts[3:]), tmp_path / "new")
        with pytest.raises(ConfigError, match="the bundle holds: onnxruntime-fp32"):
            recalibrate(bundle, parts, tmp_path / "new", graph_id="openvino-int8")
    assert not (tmp_path / "new").exists()


def test_parts_that_cannot_be_read_are_all_named_and_nothing_is_written(tmp_path: Path) -> None:
    parts = write_good_parts(tmp_path / "parts", 15)
    for broken in (parts[2], parts[7]):
        broken.images["left"].write_bytes(b"no image")
    with (
        Bundle.open(small_bundle(tmp_path / "b")) as bundle,
        pytest.raises(UsageError, match="2 part") as caught,
    ):
        recalibrate(bundle, parts, tmp_path / "new")
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ["part p002", "part p007"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "parts"]


def test_graph_that_does_not_agree_with_the_trained_model_leaves_no_file(tmp_path: Path) -> None:
    model = colour_mean()
    model.graph.node[1].op_type = "ReduceMax"
    parts = write_good_parts(tmp_path / "parts", 15)
    source = small_bundle(tmp_path / "b", model=model.SerializeToString())
    with Bundle.open(source) as bundle, pytest.raises(ParityError):
        recalibrate(bundle, parts, tmp_path / "new", accept=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "parts"]


def test_blank_camera_image_is_the_blank_model_image() -> None:
    from edgeflow.contracts.manifest import Preprocessing, ViewSpec
    from edgeflow.contracts.preprocess import prepare

    view = ViewSpec(id="top", mirror=True, crop=(3, 5, 50, 40))
    prepared = prepare(blank_image(77, 91), view, Preprocessing(height=24, width=32))
    assert np.array_equal(prepared, blank_image(24, 32))


def test_parts_held_out_at_export_give_the_thresholds_of_export_again(
    tiny: TinyProduct, tmp_path: Path
) -> None:
    from edgeflow_export.data.dataset import load_dataset
    from edgeflow_export.recipe import load_recipe

    data = load_dataset(load_recipe(tiny.recipe))
    defective = tuple(part for part in data.test if part.defective)
    with Bundle.open(tiny.bundle) as bundle:
        done = recalibrate(bundle, (*data.validation, *defective), tmp_path / "new")
    assert set(done.before.subsets) == {"C1,C2", "C1,C3", "C2,C3"}
    scales = {
        name: [thresholds.part, *thresholds.views.values(), *thresholds.subsets.values()]
        for name, thresholds in (("before", done.before), ("after", done.after))
    }
    for before, after in zip(scales["before"], scales["after"], strict=True):
        assert after.threshold == pytest.approx(before.threshold, rel=1e-3)
        assert after.centre == pytest.approx(before.centre, rel=1e-3)
    assert [point.recall for point in done.after.operating_curve] == [
        point.recall for point in done.before.operating_curve
    ]
    assert done.changed == ()
    # The defect is in C2: without that view it is seen by nothing but what C2 tells its neighbours.
    full, without = done.after.part, done.after.subsets["C1,C3"]
    assert full.threshold != pytest.approx(without.threshold, rel=1e-3)


def test_every_graph_gets_thresholds_from_its_own_scores(tmp_path: Path) -> None:
    parts = write_good_parts(tmp_path / "parts", 20)
    with Bundle.open(small_bundle(tmp_path / "b", **two_graphs())) as bundle:
        done = recalibrate(bundle, parts, tmp_path / "new", accept=True)
    assert list(done.graphs) == ["onnxruntime-fp32", "onnxruntime-int8"]
    assert done.uncalibrated == ()
    with Bundle.open(tmp_path / "new") as bundle:
        manifest = bundle.manifest
    for graph in manifest.graphs:
        assert manifest.thresholds_of(graph) == done.graphs[graph.id].after
    assert manifest.reference_thresholds == done.after


def test_graph_that_cannot_run_here_gets_none_and_cannot_be_chosen(tiny: TinyProduct, tmp_path: Path) -> None:
    """AUTO is a device of OpenVINO alone."""
    from edgeflow_export.data.dataset import load_dataset
    from edgeflow_export.recipe import load_recipe

    parts = load_dataset(load_recipe(tiny.recipe)).validation
    with Bundle.open(tiny.bundle) as bundle:
        done = recalibrate(
            bundle, parts, tmp_path / "new", accept=True, placement=Placement(device="AUTO:CPU")
        )
    assert set(done.graphs) | set(done.uncalibrated) == {graph.id for graph in bundle.manifest.graphs}
    assert all(name.startswith("onnxruntime") for name in done.uncalibrated)
    assert done.uncalibrated
    with Bundle.open(tmp_path / "new") as bundle:
        lost = next(graph for graph in bundle.manifest.graphs if graph.backend == "onnxruntime")
        assert choose_graph(bundle, backend=None, precision="auto").backend == "openvino"
        for choose in (
            lambda: choose_graph(bundle, backend="onnxruntime", precision=None),
            lambda: make_scorer(bundle, lost),
        ):
            with pytest.raises(ConfigError, match="has no thresholds, because it could not run"):
                choose()
        again = recalibrate(bundle, parts, tmp_path / "again", accept=True)
    assert again.uncalibrated == ()
