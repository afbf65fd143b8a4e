"""A trained model to one of its graphs alone."""

from __future__ import annotations

from pathlib import Path

from edgeflow.temporary_folder import temporary_folder
from edgeflow_export.bundling.memory_check import check_memory
from edgeflow_export.bundling.single_graph import Part, export_alone
from edgeflow_export.checkpoints.checkpoint import TrainedModel
from edgeflow_export.conversion.job import ExportJob, Stage
from edgeflow_export.conversion.stage_results import StageResults
from edgeflow_export.data.dataset import Dataset, require_training_parts
from edgeflow_export.masks.teachers import load_teacher

__all__ = ["build_graph"]


def build_graph(
    model: TrainedModel,
    data: Dataset,
    only: Part,
    folder: Path,
    stage: Stage,
    *,
    device: str = "cpu",
    results: StageResults | None = None,
    ignore_memory: bool = False,
) -> tuple[Path, ...]:
    """Export one graph of a trained model as files; the arguments are those of ``build_bundle``.

    Raises:
        ParityError, ConfigError, StorageError, HardwareError: see there, and ``export_alone``.
    """
    require_training_parts(data, 1)
    with temporary_folder() as work:
        teacher = load_teacher(model.recipe.foreground, device=device) if _asks(model, only) else None
        job = ExportJob(model=model, data=data, stage=stage, folder=work, results=results or StageResults())
        check_memory(job, teacher, ignore=ignore_memory)
        return export_alone(job, teacher, only, folder)


def _asks(model: TrainedModel, only: Part) -> bool:
    """Whether a teacher is needed: not by a head that has learnt from it."""
    learnt = model.recipe.foreground.kind == "distilled" and model.module.mask_head is not None
    return only == "foreground" and not learnt
