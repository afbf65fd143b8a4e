"""The memory that one export will need, from its model, its foreground network and its recipe."""

from __future__ import annotations

from edgeflow_export.conversion.job import ExportJob
from edgeflow_export.imported.imported_model import ImportedModel
from edgeflow_export.masks.teachers import MaskTeacher, NetworkTeacher
from edgeflow_export.memory import Need, Volume, needed, require_memory, volume_of

__all__ = ["check_memory", "export_need"]

HINTS = "choose a smaller --foreground-size or image, fewer export.calibration_parts, or --precision fp32"
_LARGEST_LOOK = 1.25**2
"""Of the six looks, which are taken one after the other: the largest has so many times the pixels."""


def export_need(job: ExportJob, teacher: MaskTeacher | None) -> Need | None:
    """The step that takes most; None where a network of the user's own cannot be judged."""
    size, count, recipe = job.data.preprocessing, len(job.data.views), job.model.recipe
    shape = (count, size.height, size.width, 3)
    samples = job.spec.calibration_parts * count * size.height * size.width * 3
    float_alone = isinstance(job.model, ImportedModel) and job.model.is_float_alone
    int8 = "int8" in job.spec.precisions and not float_alone
    needs = []
    volume = job.model.volume if isinstance(job.model, ImportedModel) else volume_of(job.module, shape)
    if volume is not None:
        needs.append(needed("model", volume, int8=int8, samples_bytes=samples))
    if isinstance(teacher, NetworkTeacher):
        side = teacher.spec.height
        plain = volume_of(teacher.network.plain(), (1, side, side, 3))
        if plain is not None:
            looks = _LARGEST_LOOK if recipe.foreground.augmented else 1.0
            whole = Volume(weights=plain.weights, activations=round(looks * plain.activations))
            needs.append(needed("foreground", whole, int8=recipe.foreground.precision == "int8"))
    return max(needs, key=lambda need: need.bytes, default=None)


def check_memory(job: ExportJob, teacher: MaskTeacher | None, *, ignore: bool) -> None:
    """Refuse what would be killed; say what is expected.

    Raises:
        HardwareError: the export needs more memory than there is.
    """
    need = export_need(job, teacher)
    if need is None:
        return
    if not ignore:
        require_memory(need, hints=HINTS)
    with job.stage(f"memory: about {need.bytes / 1e9:.1f} GB at most, while {need.step}"):
        pass
