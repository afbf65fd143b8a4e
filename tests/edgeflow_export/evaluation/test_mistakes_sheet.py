"""The contact sheet: which parts it shows, and that defects are outlined."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from edgeflow.contracts.manifest import Thresholds
from edgeflow_export.evaluation.evaluate import Evaluation, evaluate
from edgeflow_export.evaluation.metrics import measure
from edgeflow_export.evaluation.mistakes_sheet import LEGEND, MOST, choose_mistakes, mistakes_sheet
from tests.support.tiny import TinyProduct


@pytest.fixture(scope="module")
def evaluation(tiny: TinyProduct) -> Evaluation:
    return evaluate(tiny.checkpoint, progress=False)


def at(evaluation: Evaluation, threshold: float | None) -> Evaluation:
    """The same evaluation with another part threshold."""
    report = evaluation.report
    assert report.thresholds is not None
    thresholds: Thresholds | None = None
    if threshold is not None:
        scale = report.thresholds.part.model_copy(update={"centre": threshold - 1, "threshold": threshold})
        thresholds = report.thresholds.model_copy(update={"part": scale})
    changed = measure(evaluation.scored, evaluation.truth, report.model, report.scoring, thresholds)
    return replace(evaluation, report=changed)


def test_sheet_shows_the_worst_of_both_kinds(evaluation: Evaluation) -> None:
    scores, bad = evaluation.scored.parts, evaluation.truth.defective_parts
    everything_passes = at(evaluation, float(scores.max()) + 1)
    accepts, rejects = choose_mistakes(everything_passes)
    assert accepts.heading == "6 false accepts (defective, passed)"
    assert accepts.parts == tuple(np.flatnonzero(bad)[np.argsort(scores[bad])])
    assert rejects.heading == "no false rejects (normal, rejected); nearest to the threshold:"
    assert len(rejects.parts) == MOST
    assert rejects.parts[0] == np.flatnonzero(~bad)[scores[~bad].argmax()]


def test_only_mistakes_are_shown_where_there_are_some(evaluation: Evaluation) -> None:
    normal = np.sort(evaluation.scored.parts[~evaluation.truth.defective_parts])
    between = float((normal[-1] + normal[-2]) / 2)
    _, rejects = choose_mistakes(at(evaluation, between))
    assert rejects.heading == "1 false reject (normal, rejected)"
    assert len(rejects.parts) == 1


def test_picture_has_every_view_and_outlines_the_defect(evaluation: Evaluation) -> None:
    sheet = mistakes_sheet(evaluation)
    assert sheet is not None
    assert min(sheet.size) > 600
    without = mistakes_sheet(
        replace(
            evaluation,
            dataset=replace(
                evaluation.dataset,
                test=tuple(replace(part, masks={}) for part in evaluation.dataset.test),
            ),
        )
    )
    assert without is not None
    changed = np.asarray(sheet) != np.asarray(without)
    assert changed.any(), "the outline is drawn over the picture"
    right_half = changed[:, sheet.width // 2 :]
    assert not right_half.any(), "normal parts have none"


def test_there_is_no_sheet_without_a_threshold(evaluation: Evaluation) -> None:
    assert mistakes_sheet(at(evaluation, None)) is None


@pytest.mark.parametrize("views", [1, 2, 5, 8])
def test_layout_fits_any_number_of_views(views: int) -> None:
    from edgeflow_export.evaluation.sheet_layout import Cell, Panel, Tile, draw_sheet, tile_width

    width = tile_width(views)
    picture = np.full((width, width, 3), 90, np.uint8)
    tiles = tuple(Tile(picture=picture, caption=f"C{v} 0.50") for v in range(views))
    cell = Cell(label="dent" * 30, part_id="a/very/long/name" * 30, score="score 0.98", tiles=tiles)
    panel = Panel(heading="heading", cells=(cell,) * 6)
    sheet = draw_sheet("title", (panel, Panel(heading="none", cells=())), (width, width), LEGEND)
    assert isinstance(sheet, Image.Image)
    pixels = np.asarray(sheet)
    assert (pixels[:, -10:] == 255).all(), "nothing runs over the edge"
    assert int((pixels == 90).all(axis=2).sum()) > 6 * views * width * width * 0.7
