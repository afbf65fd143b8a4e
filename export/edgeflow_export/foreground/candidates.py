"""The foreground of a bundle: the candidates that a recipe's files allow, judged, proven and exported."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from edgeflow.contracts.datasets.find_parts import RecordedPart
from edgeflow.contracts.scoring import Masks, standardise
from edgeflow_export.conversion.job import ExportJob
from edgeflow_export.data.array_cache import default_cache_dir
from edgeflow_export.features.extractors import extractor_identity
from edgeflow_export.features.feature_cache import cache_features
from edgeflow_export.foreground.build import BuiltForeground, build_foreground
from edgeflow_export.foreground.choice import (
    Candidate,
    Chosen,
    ForegroundData,
    choose_foreground,
    fixed_from,
    require_within_budget,
)
from edgeflow_export.masks.distillation import distil
from edgeflow_export.masks.mask_cache import cache_masks
from edgeflow_export.masks.teachers import MaskTeacher, NetworkTeacher
from edgeflow_export.models.mask_head import MaskHead
from edgeflow_export.quantization.accuracy_guard import Scored
from edgeflow_export.quantization.trial import GraphTrial
from edgeflow_export.recipe import ForegroundSpec, Recipe

__all__ = ["distilled_head", "export_foreground"]

REDUCED_SIZES = (384, 512, 768)
FIXED_FROM = 64
"""Training parts from which fixed masks come, at most: a network's masks of more would take long."""


def distilled_head(job: ExportJob, teacher: MaskTeacher) -> MaskHead:
    """A head for a model that was trained without one, such as an official one."""
    module, training = job.module, job.data.training
    recipe = job.model.recipe
    assert isinstance(recipe, Recipe)  # noqa: S101 - as for the module
    with job.stage(f"features of {len(training)} parts for the foreground head"):
        store = cache_features(
            training,
            job.data,
            module.extractor,
            identity=extractor_identity(module.extractor, recipe.extractor),
            folder=default_cache_dir(),
        )
    size = (store.shape[2], store.shape[3])
    with job.stage(f"foreground masks of {len(training)} parts"):
        masks = cache_masks(training, job.data, teacher, size, folder=default_cache_dir())
    with job.stage("training the foreground head"):
        return distil(store, masks, seed=job.model.recipe.training.seed)


def export_foreground(
    job: ExportJob, teacher: MaskTeacher, trial: GraphTrial, reference: Scored
) -> tuple[Chosen, BuiltForeground | None]:
    """The foreground that the recipe names, or the cheapest within budget; proven and ready to write."""
    spec = job.model.recipe.foreground
    height, width = reference.maps.shape[2:]

    def masks_of(source: MaskTeacher, parts: Sequence[RecordedPart] = job.parts) -> Masks:
        with job.stage(f"foreground masks of {len(parts)} parts"):
            return cache_masks(parts, job.data, source, (height, width), folder=default_cache_dir())

    evidence = ForegroundData(
        maps=standardise(reference.maps, job.statistics),
        truth=masks_of(teacher),
        scoring=trial.scoring,
        normal=len(job.data.validation),
        rate=job.model.recipe.thresholds.false_reject_rate,
        min_iou=spec.min_iou,
        max_flip_rate=spec.max_flip_rate,
    )
    fixed = None
    if spec.kind in {"fixed", "auto"}:
        # Masks are judged on the held-out and the test parts, so they come from others.
        fixed = fixed_from(masks_of(teacher, _spread(job.data.training)))
    candidates = _candidates(spec, teacher, evidence, reference, fixed, masks_of)
    if spec.kind == "auto":
        chosen = choose_foreground(iter(candidates), evidence)
    else:
        (candidate,) = (c for c in candidates if c.kind == spec.kind and c.size in {0, spec.size})
        chosen = require_within_budget(candidate, evidence)
    with job.stage(f"foreground {chosen.note}"):
        pass
    built = build_foreground(chosen, teacher, job, evidence)
    if built is not None and built.masks is not None:
        chosen = replace(chosen, masks=built.masks)
    return chosen, built


def _spread(parts: Sequence[RecordedPart]) -> Sequence[RecordedPart]:
    """At most so many of the parts as a fixed mask needs, evenly spread."""
    step = max(1, math.ceil(len(parts) / FIXED_FROM))
    return parts[::step]


def _candidates(
    spec: ForegroundSpec,
    teacher: MaskTeacher,
    evidence: ForegroundData,
    reference: Scored,
    fixed: Masks | None,
    masks_of: Callable[[MaskTeacher], Masks],
) -> list[Candidate]:
    """Every foreground that the recipe's files can give, the cheapest first."""
    everything = np.ones_like(evidence.truth)
    candidates = [Candidate(kind="none", masks=lambda: everything)]
    if fixed is not None:
        same = np.broadcast_to(fixed, evidence.truth.shape)
        candidates.append(Candidate(kind="fixed", masks=lambda: same))
    own = reference.own_masks
    if own is not None:
        candidates.append(Candidate(kind="distilled", masks=lambda: own))
    if isinstance(teacher, NetworkTeacher):
        for size in (size for size in REDUCED_SIZES if size < spec.size):
            smaller = teacher.at(size)
            candidates.append(Candidate(kind="mvanet", size=size, masks=functools.partial(masks_of, smaller)))
        candidates.append(Candidate(kind="mvanet", size=spec.size, masks=lambda: evidence.truth))
    return candidates
