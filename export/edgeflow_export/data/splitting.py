"""Normal parts split into those to learn from, those for thresholds, and those that tell when to stop."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from edgeflow.contracts.datasets.recorded_part import NORMAL, RecordedPart
from edgeflow.errors import DataError
from edgeflow_export.recipe import ImportRecipe, Recipe

__all__ = ["HELD_OUT_AT_LEAST", "split_for_stopping", "split_normal_parts", "with_unannotated"]

HELD_OUT_AT_LEAST = 2


def with_unannotated(
    parts: Sequence[RecordedPart], meaning: Literal["normal", "left_out"] | None, root: Path
) -> tuple[RecordedPart, ...]:
    """Parts of an export of annotations, with what the recipe says of those that nobody has annotated.

    Raises:
        DataError: there are such parts, and the recipe says nothing of them; or nothing else is left.
    """
    bare = [part for part in parts if part.unannotated]
    if not bare:
        return tuple(parts)
    if meaning is None:
        raise DataError(
            f"{root}: {len(bare)} of {len(parts)} parts have no annotation, such as {bare[0].part_id}: they "
            "may be normal, or nobody may have looked at them; set data.unannotated: normal, or left_out, in "
            "the recipe"
        )
    if meaning == "normal":
        return tuple(
            replace(part, label=NORMAL, masks=dict.fromkeys(part.images), unannotated=False)
            if part.unannotated
            else part
            for part in parts
        )
    kept = tuple(part for part in parts if not part.unannotated)
    if not kept:
        raise DataError(f"{root}: no part has an annotation, and data.unannotated: left_out leaves none")
    return kept


def split_normal_parts(
    parts: Sequence[RecordedPart], fraction: float, seed: int
) -> tuple[tuple[RecordedPart, ...], tuple[RecordedPart, ...]]:
    """Normal parts to learn from, and those held out for thresholds.

    A data set's own validation parts are held out. Without any, each part's name and the seed decide.

    Args:
        fraction: share that is held out, where the data set does not say.
    """
    given = tuple(part for part in parts if part.split == "validation")
    if given:
        return tuple(part for part in parts if part.split != "validation"), given
    draws = {part.part_id: _draw(part.part_id, seed) for part in parts}
    held_out = {name for name, draw in draws.items() if draw < fraction}
    # A threshold needs two scores, and something has to be left.
    least = min(HELD_OUT_AT_LEAST, len(parts) - 1)
    if len(held_out) < least or len(held_out) == len(parts):
        held_out = set(sorted(draws, key=lambda name: draws[name])[: max(least, 0)])
    return (
        tuple(part for part in parts if part.part_id not in held_out),
        tuple(part for part in parts if part.part_id in held_out),
    )


def split_for_stopping(
    learning: tuple[RecordedPart, ...], validation: tuple[RecordedPart, ...], recipe: Recipe | ImportRecipe
) -> tuple[tuple[RecordedPart, ...], tuple[RecordedPart, ...]]:
    """Training parts and, with early stopping, parts of its own.

    These have the next higher draws after those held out for thresholds, which are the same with and without.

    Args:
        validation: parts held out for thresholds.

    Raises:
        DataError: too few parts are left to learn from.
    """
    if recipe.training.early_stopping is None or not learning:
        return learning, ()
    drawn = not any(part.split == "validation" for part in validation)
    held_out = recipe.data.validation_fraction if drawn else 0.0
    fraction = recipe.data.stopping_fraction
    draws = {part.part_id: _draw(part.part_id, recipe.training.seed) for part in learning}
    chosen = {name for name, draw in draws.items() if draw < held_out + fraction}
    if len(chosen) < HELD_OUT_AT_LEAST:
        chosen = set(sorted(draws, key=lambda name: draws[name])[:HELD_OUT_AT_LEAST])
    if len(learning) < 2 * len(chosen):
        raise DataError(
            f"{recipe.data.root}: of {len(learning)} normal parts that are not held out for thresholds, "
            f"{len(chosen)} would tell training when to stop (data.stopping_fraction {fraction:g}), and "
            "fewer are left to learn from; record more parts, lower data.stopping_fraction, or leave out "
            "training.early_stopping and set training.epochs"
        )
    return (
        tuple(part for part in learning if part.part_id not in chosen),
        tuple(part for part in learning if part.part_id in chosen),
    )


def _draw(part_id: str, seed: int) -> float:
    """A number in [0, 1) that depends on the part's name and the seed alone."""
    digest = hashlib.sha256(f"{seed}:{part_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
