"""Flags of the command line over what the recipe says."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.errors import ConfigError
from edgeflow_export.cli.export import ExportChoices
from edgeflow_export.recipe import DataSpec, ForegroundSpec, ImageSpec, Recipe, SelfSupervisedExtractor

RECIPE = Recipe(
    name="disc",
    data=DataSpec(root=Path("parts")),
    image=ImageSpec(height=64, width=64),
    extractor=SelfSupervisedExtractor(kind="self_supervised"),
    foreground=ForegroundSpec(kind="mvanet", weights=Path("Model_80.pth"), min_iou=0.8),
)


def test_without_flags_the_recipe_stays_as_it_is() -> None:
    assert ExportChoices().applied(RECIPE) == RECIPE


def test_flags_replace_single_values() -> None:
    chosen = ExportChoices(precision="bf16", foreground="auto", foreground_size=384).applied(RECIPE)
    assert chosen.export.precisions == ("fp32", "bf16")
    assert chosen.foreground == RECIPE.foreground.model_copy(update={"kind": "auto", "size": 384})
    assert not chosen.foreground.augmented


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (ExportChoices(foreground_size=384, augmentation=True), "multiples of 512"),
        (ExportChoices(foreground_size=500), "multiple of 128"),
    ],
)
def test_flags_that_do_not_go_together_are_named(choices: ExportChoices, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        choices.applied(RECIPE)
    assert message in str(caught.value)


def test_foreground_that_no_file_can_give_is_named() -> None:
    bare = RECIPE.model_copy(update={"foreground": ForegroundSpec()})
    with pytest.raises(ConfigError, match="foreground") as caught:
        ExportChoices(foreground="mvanet").applied(bare)
    assert "needs weights, MVANet's checkpoint" in str(caught.value)
