"""A bundle's recipe says how other folders are read, as far as it fits them."""

from __future__ import annotations

import shutil
from pathlib import Path

from edgeflow.contracts.datasets.find_parts import find_parts
from edgeflow.contracts.datasets.recipe_choices import RecipeChoices, recipe_choices
from tests.support.data_sets import draw, manta

NOTHING = RecipeChoices(layout=None, split=None, unannotated=None)


def test_a_layout_that_fits_is_taken(tmp_path: Path) -> None:
    manta(tmp_path / "made")
    shutil.move(tmp_path / "made" / "mechanics" / "nut", tmp_path / "line7")
    recipe = {"data": {"root": "elsewhere", "layout": "manta"}}
    choices = recipe_choices(recipe, tmp_path / "line7")
    assert choices == RecipeChoices(layout="manta", split=None, unannotated=None)
    assert len(find_parts(tmp_path / "line7", layout=choices.layout)[0].images) == 5


def test_choices_that_do_not_fit_are_left_out(tmp_path: Path) -> None:
    draw(tmp_path / "recorded" / "p1" / "V1.png")
    recipe = {"data": {"layout": "manta", "split": "2cls_fewshot"}}
    assert recipe_choices(recipe, tmp_path / "recorded") == NOTHING
    for other in ({}, {"data": None}, {"data": {"layout": "of a newer edgeflow"}}):
        assert recipe_choices(other, tmp_path / "recorded") == NOTHING
    assert recipe_choices(recipe, tmp_path / "none") == NOTHING


def test_a_table_is_taken_for_the_data_set_that_has_it(tmp_path: Path) -> None:
    draw(tmp_path / "candle" / "Data" / "Images" / "Normal" / "0.JPG")
    recipe = {"data": {"split": "2cls_fewshot", "unannotated": "normal"}}
    assert recipe_choices(recipe, tmp_path) == RecipeChoices(
        layout=None, split="2cls_fewshot", unannotated="normal"
    )
