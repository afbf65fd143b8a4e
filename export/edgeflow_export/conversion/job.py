"""One export: what all its steps share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from edgeflow.contracts.datasets.find_parts import RecordedPart
from edgeflow.contracts.scoring import PixelStatistics
from edgeflow_export.checkpoints.checkpoint import TrainedModel
from edgeflow_export.conversion.stage_results import StageResults
from edgeflow_export.data.dataset import Dataset
from edgeflow_export.imported.imported_model import ImportedModel
from edgeflow_export.models.inspection_model import InspectionModel
from edgeflow_export.recipe import ExportSpec

__all__ = ["ExportJob", "Stage"]

Stage = Callable[[str], AbstractContextManager[None]]
"""Shows the name of a step while the step runs."""


@dataclass(frozen=True, kw_only=True)
class ExportJob:
    """The model, the parts it is measured on, and where work goes on.

    Attributes:
        folder: for files on the way to the bundle.
        results: of stages that an earlier, interrupted export has been through.
    """

    model: TrainedModel | ImportedModel
    data: Dataset
    stage: Stage
    folder: Path
    results: StageResults = field(default_factory=StageResults)

    @property
    def spec(self) -> ExportSpec:
        """The recipe's section ``export``."""
        return self.model.recipe.export

    @property
    def module(self) -> InspectionModel:
        """The trained model's module; a network from elsewhere has none."""
        assert isinstance(self.model, TrainedModel)  # noqa: S101 - callers ask for what training made
        return self.model.module

    @property
    def parts(self) -> tuple[RecordedPart, ...]:
        """Held-out normal parts, then test parts."""
        return (*self.data.validation, *self.data.test)

    @property
    def statistics(self) -> PixelStatistics | None:
        """Pixel statistics, where the recipe scores with them."""
        return self.model.statistics if self.model.recipe.scoring.pixel_statistics else None
