"""Choices of a recipe that other folders of the same data set are read with, from a bundle's manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeflow.contracts.datasets.layouts import LAYOUTS, layout_of

__all__ = ["RecipeChoices", "recipe_choices"]


@dataclass(frozen=True, kw_only=True)
class RecipeChoices:
    """Layout and table that fit a folder; None where the folder is laid out otherwise than the recipe's."""

    layout: str | None
    split: str | None
    unannotated: str | None


def recipe_choices(recipe: Mapping[str, Any], root: Path) -> RecipeChoices:
    """The keys of a recipe's section ``data`` as far as they fit a folder, which may hold other parts."""
    section = recipe.get("data")
    data: Mapping[str, Any] = section if isinstance(section, dict) else {}
    layout, split, unannotated = (data.get(key) for key in ("layout", "split", "unannotated"))
    if not root.is_dir():
        return RecipeChoices(layout=None, split=None, unannotated=None)
    named = layout if layout in LAYOUTS and LAYOUTS[layout].may_be_read(root) else None
    is_visa = split is not None and (named or layout_of(root)) == "visa"
    return RecipeChoices(layout=named, split=split if is_visa else None, unannotated=unannotated)
