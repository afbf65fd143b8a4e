"""The report in a bundle: one page, complete in itself, with the figures that were measured."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from edgeflow.bundles.bundle import Bundle
from edgeflow.contracts.manifest import REPORT_NAME, Manifest
from edgeflow.contracts.parity import FOR_SCALE
from edgeflow_export.bundling.release import Built
from edgeflow_export.cli.export import print_built
from edgeflow_export.report.page import _by_step
from edgeflow_export.report.plots import _histogram, scores_svg, view_scores_svg
from tests.support.tiny import VIEWS, TinyProduct


class Page(HTMLParser):
    """Tags with their attributes, and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "

    @property
    def pictures(self) -> list[str]:
        return [str(attributes["src"]) for tag, attributes in self.tags if tag == "img"]


@pytest.fixture(scope="module")
def report(tiny: TinyProduct) -> tuple[Page, Manifest]:
    with Bundle.open(tiny.bundle) as bundle:
        return Page(bundle.read(REPORT_NAME).decode()), bundle.manifest


def test_page_needs_nothing_from_elsewhere(report: tuple[Page, Manifest]) -> None:
    page, _ = report
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "iframe", "object"})
    assert all(source.startswith("data:image/") for source in page.pictures)
    assert "http" not in re.sub(r"data:[^\"]+", "", page.text)


def test_figures_are_those_of_the_manifest(report: tuple[Page, Manifest]) -> None:
    page, manifest = report
    text = " ".join(page.text.split())
    assert manifest.accuracy
    for accuracy in manifest.accuracy:
        row = f"{accuracy.graph} {accuracy.parts} {accuracy.verdict_flips} {accuracy.rank_correlation:.4f}"
        assert row in text
        assert all(" ".join(sentence.split()) in text for sentence in accuracy.sentences)
    assert FOR_SCALE in text
    for graph in manifest.graphs:
        assert re.search(rf"{graph.id} (torch|fp32, median).*? {graph.measured_error:.2g} ", text)
        assert manifest.files[graph.model].sha256[:16] in text
    assert [stage.stage for stage in manifest.parity] == ["rewritten flow"]
    assert 0 <= manifest.parity[0].measured_error <= manifest.parity[0].tolerance
    assert f"{manifest.reference_thresholds.part.threshold:.4g}" in text
    assert manifest.reference_thresholds.note is not None
    assert manifest.reference_thresholds.note in text
    assert all(value in text for value in manifest.provenance.values())


def test_what_export_prints_allows_what_it_allowed(
    tiny: TinyProduct, capsys: pytest.CaptureFixture[str]
) -> None:
    with Bundle.open(tiny.bundle) as bundle:
        built = Built(path=tiny.bundle, size=1, sha256=bundle.sha256, manifest=bundle.manifest)
    print_built(built, 1.0)
    printed = [row.split() for row in capsys.readouterr().out.splitlines() if row.strip()]
    rows = {row[0]: row for row in printed if row[0].endswith("-int8")}
    recipe = built.manifest.recipe["export"]
    assert isinstance(recipe, dict)
    assert rows
    for row in rows.values():
        assert float(row[2]) == pytest.approx(recipe["tolerance_int8"])
        assert float(row[1]) <= float(row[2])


def test_recall_and_false_rejects_are_read_first_and_too_few_parts_in_red(
    report: tuple[Page, Manifest],
) -> None:
    """The tiny product has 12 held-out parts, for a rate that needs 19."""
    page, manifest = report
    text = " ".join(page.text.split())
    labelled = manifest.reference_thresholds.labelled
    assert labelled is not None
    assert (labelled.normal_parts, labelled.defective_parts) == (6, 6)
    order = [
        "Do not trust this bundle",
        "recall: defective parts rejected",
        "false rejects",
        "largest map error",
    ]
    places = [text.index(words) for words in order]
    assert places == sorted(places)
    assert f"{manifest.reference_thresholds.normal_parts} held-out normal parts are too few" in text
    assert "the rate needs 19" in text
    classes = [str(attributes.get("class")) for _, attributes in page.tags]
    assert "state bad" in classes
    assert "ok" not in classes  # nothing is green in a bundle that proves too little


def test_parts_are_shown_by_view_in_fp32_in_int8_and_their_difference(report: tuple[Page, Manifest]) -> None:
    page, manifest = report
    drawn = {str(attributes["alt"]) for tag, attributes in page.tags if tag == "img"}
    for view in VIEWS:
        for row in ("image", "map, openvino-fp32", "map, openvino-int8", "openvino-int8 less openvino-fp32"):
            assert f"{row}, view {view}" in drawn
    assert all(part.part_id in page.text for part in manifest.golden)
    jpegs = [source for source in page.pictures if source.startswith("data:image/jpeg")]
    picture = Image.open(io.BytesIO(base64.b64decode(jpegs[-1].partition(",")[2])))
    assert picture.size == (280, 280)
    assert len("".join(page.pictures)) < 4_000_000


def test_plot_is_the_same_every_time_and_says_what_lies_beyond() -> None:
    groups = {"normal, for the threshold": np.array([0.0, 0.1, 0.9], np.float32)}
    groups["defective"] = np.array([2.0, 900.0], np.float32)
    assert scores_svg(groups) == scores_svg(groups)
    assert scores_svg(groups) != scores_svg({"defective": groups["defective"]})
    assert view_scores_svg({"C1": groups, "C2": groups}) == view_scores_svg({"C1": groups, "C2": groups})


def bars(groups: dict[str, npt.NDArray[np.float32]]) -> list[tuple[float, float, float]]:
    """Left, right and height of every bar, from the histogram itself."""
    figure = Figure()
    axes = figure.add_subplot()
    _histogram(axes, groups)
    return [
        (bar.get_x(), bar.get_x() + bar.get_width(), bar.get_height())
        for bar in axes.patches
        if isinstance(bar, Rectangle) and bar.get_height()
    ]


def test_no_bar_of_the_histogram_stands_on_both_sides_of_the_threshold() -> None:
    for scores in ([0.0, 0.3, 1.0, 1.01], [-0.2, 0.98, 1.02, 7.0], [0.1, 0.2]):
        found = bars({"normal, for the threshold": np.array(scores, np.float32)})
        assert all(right <= 1 + 1e-6 or left >= 1 - 1e-6 for left, right, _ in found)
        rejected = sum(score > 1 for score in scores)
        assert sum(height for left, _, height in found if left >= 1 - 1e-6) == rejected


def test_a_note_is_told_step_by_step() -> None:
    note = "openvino: fp32 only; all convolutions: 7 of 99 verdicts change; allowed: 0.005; bf16: no"
    assert _by_step(note) == (
        "openvino: fp32 only",
        ["all convolutions: 7 of 99 verdicts change; allowed: 0.005", "bf16: no"],
    )


def test_every_view_has_a_histogram_and_wrong_verdicts_are_named(report: tuple[Page, Manifest]) -> None:
    page, _ = report
    drawn = [str(attributes["alt"]) for tag, attributes in page.tags if tag == "img"]
    assert "Histogram of every view's scores with its threshold at 1" in drawn
    shown = page.text.partition("Parts")[2].partition("Thresholds")[0]
    for label, verdict, wrong in re.findall(r"(OK|spot) ·.*?: -?[\d.]+ +(OK|NG) *(missed|falsely)?", shown):
        assert bool(wrong) == ((label == "spot") != (verdict == "NG"))


def test_report_that_was_altered_is_found_out(tiny: TinyProduct, tmp_path: Path) -> None:
    from edgeflow.errors import IntegrityError
    from faults.rewritten_bundles import rewritten

    bad = rewritten(tiny.bundle, tmp_path / "bad", {REPORT_NAME: b"<p>all is well</p>"}, {})
    with pytest.raises(IntegrityError, match="contents do not match"):
        Bundle.open(bad)
