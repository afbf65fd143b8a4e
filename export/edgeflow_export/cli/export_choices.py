"""What the command line of ``edgeflow export`` decides instead of the recipe."""

from __future__ import annotations

from dataclasses import dataclass

from edgeflow.contracts.documents.document import parse_document
from edgeflow.errors import ConfigError
from edgeflow_export.recipe import ForegroundSpec, Recipe

__all__ = ["ExportChoices"]


@dataclass(frozen=True, kw_only=True)
class ExportChoices:
    """Flags; None leaves the recipe's value.

    Attributes:
        precision: of the graphs beside fp32, which every bundle holds.
        foreground: kind of foreground.
        foreground_size: side of MVANet's image in pixels.
        augmentation: whether MVANet takes the published six looks.
    """

    precision: str | None = None
    foreground: str | None = None
    foreground_size: int | None = None
    augmentation: bool | None = None

    def applied(self, recipe: Recipe) -> Recipe:
        """The recipe with the flags in force.

        Raises:
            ConfigError: a foreground that the recipe and the files at hand cannot give.
        """
        update: dict[str, object] = {}
        if self.precision is not None:
            precisions = tuple(dict.fromkeys(("fp32", self.precision)))
            update["export"] = recipe.export.model_copy(update={"precisions": precisions})
        flags = {
            "kind": self.foreground,
            "size": self.foreground_size,
            "augmentation": self.augmentation,
        }
        chosen = {key: value for key, value in flags.items() if value is not None}
        if chosen:
            given = recipe.foreground.model_dump(mode="json", exclude_unset=True) | chosen
            update["foreground"] = parse_document(ForegroundSpec, given, what="foreground", error=ConfigError)
        return recipe.model_copy(update=update)
