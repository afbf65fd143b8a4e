"""A box's labelled evidence becomes the bundle's next version: previewed, written, or refused in words."""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeflow.bundles.bundle import Bundle
from edgeflow.calibration.labelled.calibration import EvidenceCalibration
from edgeflow.calibration.labelled.evidence import LabelledEvidence, exported_evidence
from edgeflow.calibration.labelled.preview import EvidencePreview
from edgeflow.calibration.labelled.preview_page import preview_page
from edgeflow.calibration.thresholds import threshold_of
from edgeflow.contracts.datasets.find_parts import find_parts
from edgeflow.contracts.datasets.population import POPULATION_FILE, read_population
from edgeflow.contracts.messages import BundleInfo, to_json
from edgeflow.errors import AccuracyError, DataError
from edgeflow.history.database.store import HistoryStore
from edgeflow.history.labelled_export import export_labelled
from edgeflow.history.labelling import label_part
from edgeflow.history.population import box_population
from edgeflow.history.reader import HistoryReader
from edgeflow.history.records import HistoryEntry
from edgeflow.run_time import read_boot
from simulators.results import simulated_result
from simulators.small_bundle import SIDE, VIEWS, small_bundle, two_graphs

AT = datetime(2026, 11, 28, 12, tzinfo=UTC)
GOOD, FALSE_REJECTS, REJECTS = 120, 10, 6
LIMIT = 120.0
ODD = ["../../etc/passwd", "%2e%2e", "Größe 7", "=cmd|' /C calc'!A0"]


@dataclasses.dataclass(frozen=True)
class Box:
    """A box that has inspected parts, and what they score."""

    folder: Path
    bundle: Path
    history: Path
    good: np.ndarray
    rejected: np.ndarray

    def evidence(self) -> LabelledEvidence:
        with Bundle.open(self.bundle) as bundle, HistoryReader(self.history) as reader:
            found = box_population(reader, self.folder / "evidence", bundle.sha256)
        return LabelledEvidence(
            population=found.population, images=found.images, left_out=found.labelled_elsewhere
        )

    def export(self, output: Path) -> LabelledEvidence:
        with HistoryReader(self.history) as reader:
            export_labelled(reader, output)
        found = exported_evidence(output, find_parts(output))
        assert found is not None
        return found

    def preview(self, evidence: LabelledEvidence, rate: float = 0.02) -> EvidencePreview:
        with Bundle.open(self.bundle) as bundle:
            return EvidenceCalibration(bundle=bundle, evidence=evidence, rate=rate).preview()


def write_images(folder: Path, level: float, number: int) -> dict[str, float]:
    """Images of one colour per view; each view scores the mean of its colour."""
    folder.mkdir(parents=True)
    scores = {}
    for place, view in enumerate(VIEWS):
        colour = int(level) + place + number % 3
        Image.fromarray(np.full((SIDE, SIDE, 3), colour, np.uint8)).save(folder / f"{view}.png")
        scores[view] = float(colour)
    return scores


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """120 good parts, half of them kept; ten false rejects labelled OK; six rejects, three labelled NG."""
    scale = {"centre": 100.0, "threshold": LIMIT}
    thresholds = {
        "part": scale,
        "views": dict.fromkeys(VIEWS, scale),
        "false_reject_rate": 0.02,
        "normal_parts": 60,
    }
    path = small_bundle(tmp_path / "box.bundle", thresholds=thresholds, **two_graphs())
    with Bundle.open(path) as bundle:
        info = BundleInfo(name="bracket", sha256=bundle.sha256, backend="onnxruntime", precision="fp32")
    rng = np.random.default_rng(4)
    levels = [
        *rng.normal(100, 4, GOOD).clip(0, 115),
        *rng.uniform(121, 135, FALSE_REJECTS),
        *rng.uniform(150, 200, REJECTS),
    ]
    entries = []
    for number, level in enumerate(levels):
        folder = tmp_path / "evidence" / "2026-11-28" / f"session-{number:06d}"
        scores = write_images(folder, level, number)
        result = simulated_result(number, AT, scores)
        verdict = "NG" if number >= GOOD else "OK"
        name = ODD[number] if number < len(ODD) else result.part_id
        result = result.model_copy(
            update={"bundle": info, "verdict": verdict, "evidence": str(folder), "part_id": name}
        )
        kept = "verdict" if verdict == "NG" else "sample" if number % 2 else None
        if kept is None:
            shutil.rmtree(folder)
            result = result.model_copy(update={"evidence": None})
        else:
            (folder / "result.json").write_bytes(to_json(result))
        entry = HistoryEntry(result=result, bundle_version=1, has_foreground=False)
        entries.append((replace(entry, kept=kept), sum(scores.values()) / 2))  # type: ignore[arg-type]
    boot = read_boot()
    store = HistoryStore(tmp_path / "history.db", boot)
    store.write([entry for entry, _ in entries], [], boot)
    store.close()
    for number in range(GOOD, GOOD + FALSE_REJECTS):
        label_part(tmp_path / "history.db", f"P-{number}", "OK", by="Ann", source="cli")
    for number in range(GOOD + FALSE_REJECTS, GOOD + FALSE_REJECTS + 3):
        label_part(tmp_path / "history.db", f"P-{number}", "NG", kind="dent", by="Ann", source="cli")
    scored = np.array([score for _, score in entries])
    return Box(
        folder=tmp_path,
        bundle=path,
        history=tmp_path / "history.db",
        good=scored[: GOOD + FALSE_REJECTS],
        rejected=scored[GOOD + FALSE_REJECTS :],
    )


def test_the_threshold_is_that_of_all_parts_from_box_and_export_alike(box: Box, tmp_path: Path) -> None:
    from_box = box.preview(box.evidence())
    from_export = box.preview(box.export(tmp_path / "out"))
    wanted = threshold_of(box.good.astype(np.float32), 0.02)
    assert from_box.after.part.threshold == pytest.approx(wanted, rel=1e-6)
    assert from_export.after == from_box.after
    assert from_box.normal_parts == GOOD + FALSE_REJECTS
    assert from_box.after.normal_parts == GOOD + FALSE_REJECTS
    assert (from_box.rejected_before, from_box.rejected_now) == (FALSE_REJECTS, 1)
    assert from_box.unlabelled_rejects == 3
    turned = {found.part.part_id for found in from_box.turned.turned}
    assert turned == {f"P-{n}" for n in range(GOOD, GOOD + FALSE_REJECTS) if box.good[n] <= wanted}
    assert (from_box.turned.labelled_ng, from_box.turned.passing) == (3, ())
    assert "3 rejects have no label" in " ".join(from_box.sentences)


def test_the_next_version_has_the_previewed_threshold_and_one_for_each_graph(box: Box) -> None:
    with Bundle.open(box.bundle) as bundle:
        calibration = EvidenceCalibration(bundle=bundle, evidence=box.evidence(), rate=0.02)
        preview = calibration.preview()
        with pytest.raises(AccuracyError, match="only with --accept") as caught:
            calibration.write(preview, box.folder / "next.bundle")
        assert caught.value.problems == preview.sentences
        done = calibration.write(preview, box.folder / "next.bundle", accept=True)
    assert done.after == preview.after
    assert done.uncalibrated == ()
    assert done.after.labelled is None, "rejects alone say nothing of what passes"
    own, other = (done.graphs[name].after.part.threshold for name in ("onnxruntime-fp32", "onnxruntime-int8"))
    assert other == pytest.approx(own, rel=1e-6)


def test_rejects_without_label_or_labelled_ng_never_move_a_threshold(box: Box) -> None:
    before = box.preview(box.evidence()).after
    for number in range(GOOD + FALSE_REJECTS + 3, GOOD + FALSE_REJECTS + REJECTS):
        label_part(box.history, f"P-{number}", "NG", by="Ben", source="page")
    assert box.preview(box.evidence()).after == before


def test_parts_on_which_two_reviewers_disagree_set_no_threshold(box: Box) -> None:
    label_part(box.history, f"P-{GOOD}", "NG", by="Ben", source="page")
    label_part(box.history, f"P-{GOOD}", "OK", by="Ann", source="page")
    found = box.preview(box.evidence())
    assert (found.normal_parts, found.disputed) == (GOOD + FALSE_REJECTS - 1, 1)
    assert "on 1 parts people disagree" in " ".join(found.sentences)


def test_evidence_that_is_removed_meanwhile_costs_a_graph_at_most(box: Box) -> None:
    evidence = box.evidence()
    shutil.rmtree(box.folder / "evidence")
    with Bundle.open(box.bundle) as bundle:
        calibration = EvidenceCalibration(bundle=bundle, evidence=evidence, rate=0.02)
        preview = calibration.preview()
        done = calibration.write(preview, box.folder / "next.bundle", accept=True)
    assert list(done.graphs) == ["onnxruntime-fp32"]
    assert done.uncalibrated == ("onnxruntime-int8",)
    text = preview_page(preview, evidence.images, "title")
    assert "no pictures are kept" in text


def test_a_population_of_another_bundle_is_refused(box: Box) -> None:
    other = small_bundle(box.folder / "other.bundle", version=7)
    with Bundle.open(other) as bundle:
        calibration = EvidenceCalibration(bundle=bundle, evidence=box.evidence())
        with pytest.raises(DataError, match="scores of another bundle say nothing"):
            calibration.preview()
        with (
            HistoryReader(box.history) as reader,
            pytest.raises(DataError, match=r"no result by this bundle.*its latest result is by bracket"),
        ):
            box_population(reader, None, bundle.sha256)


def test_an_export_that_was_sorted_again_by_hand_is_refused(box: Box, tmp_path: Path) -> None:
    """The weights are those of the labels at the export: another label needs another export."""
    box.export(tmp_path / "out")
    name = "session-000003"
    (tmp_path / "out" / "unlabelled" / name).rename(tmp_path / "out" / "dent" / name)
    population = (tmp_path / "out" / POPULATION_FILE).read_text()
    moved = population.replace(f"unlabelled/{name}", f"dent/{name}")
    (tmp_path / "out" / POPULATION_FILE).write_text(moved)
    with pytest.raises(DataError, match="labelled or moved after the export") as caught:
        exported_evidence(tmp_path / "out", find_parts(tmp_path / "out"))
    assert f"part dent/{name}: defective in the folder, and labelled by nobody" in caught.value.problems[0]
    (tmp_path / "out" / POPULATION_FILE).unlink()
    assert exported_evidence(tmp_path / "out", find_parts(tmp_path / "out")) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: ["{}", *lines[1:]], "export the evidence again"),
        (
            lambda lines: [lines[0].replace("population/2", "population/1"), *lines[1:]],
            "of an earlier edgeflow",
        ),
        (lambda lines: [lines[0].replace("population/2", "population/9"), *lines[1:]], "of a newer edgeflow"),
        (lambda lines: [lines[0], lines[1].replace('"score": ', '"score": NaN, "was": ')], "is not finite"),
        (lambda lines: [lines[0], lines[1].replace('"verdict": "NG"', '"verdict": "GOOD"')], "verdict GOOD"),
        (lambda lines: [*lines, "[1, 2]"], "cannot be read"),
        (lambda lines: [*lines, "{"], "cannot be read"),
    ],
)
def test_a_damaged_population_is_refused_in_words(
    box: Box, tmp_path: Path, change: object, words: str
) -> None:
    box.export(tmp_path / "out")
    path = tmp_path / "out" / POPULATION_FILE
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")  # type: ignore[operator]
    with pytest.raises(DataError, match=words):
        read_population(tmp_path / "out")


def test_the_page_shows_odd_names_as_text(box: Box) -> None:
    preview = box.preview(box.evidence())
    text = preview_page(preview, box.evidence().images, "<b>parts</b>")
    assert "&lt;b&gt;parts&lt;/b&gt;" in text
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")
    assert text.count("data:image/jpeg;base64,") == 2 * len(preview.turned.turned)
