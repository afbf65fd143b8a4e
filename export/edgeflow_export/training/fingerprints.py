"""Hashes of all that decides trained weights: a training goes on only where it is still the same work."""

from __future__ import annotations

import hashlib
import json

from edgeflow.errors import CheckpointError
from edgeflow_export.data.dataset import Dataset
from edgeflow_export.recipe import Recipe

__all__ = ["EXPORT_ONLY", "fingerprint", "fingerprints_of"]

_DECIDING = {
    "multi_flow": ("extractor", "flow", "noise", "training", "foreground"),
    "patch_memory": ("extractor", "model", "patch_memory", "foreground"),
}
"""The recipe's sections that decide trained weights, by model."""
EXPORT_ONLY = {"foreground": {"precision", "max_flip_rate"}}
"""Keys of sections that decide trained weights, though only the export reads them."""


def fingerprints_of(recipe: Recipe, dataset: Dataset) -> tuple[str, str]:
    """Of the training, whatever its epochs; and as versions wrote it that could not go on afterwards."""
    sections = _DECIDING[recipe.model]
    one = recipe.model_copy(update={"training": recipe.training.model_copy(update={"epochs": 1})})
    return (
        hashlib.sha256(f"any epochs {fingerprint(one, dataset, *sections)}".encode()).hexdigest(),
        fingerprint(recipe, dataset, *sections),
    )


def fingerprint(recipe: Recipe, dataset: Dataset, *sections: str) -> str:
    """A hash of the training parts and of the recipe's sections that decide the trained weights."""
    initial = recipe.training.initial
    if initial is not None and not initial.is_file():
        raise CheckpointError(f"training.initial: {initial}: no such file")
    content: dict[str, object] = {
        "recipe": recipe.model_dump(mode="json", include=set(sections), exclude=EXPORT_ONLY),
        "initial": hashlib.sha256(initial.read_bytes()).hexdigest() if initial is not None else None,
        "seed": recipe.training.seed,
        "views": [view.model_dump() for view in dataset.views],
        "preprocessing": dataset.preprocessing.model_dump(
            exclude={"bits", "orientation"} if dataset.reads_as_before else None
        ),
        "parts": [
            [part.part_id, *(part.images[view].stat().st_size for view in dataset.view_ids)]
            for part in dataset.training
        ],
    }
    if "patch_memory" in sections:  # of its section training, a memory depends on this alone
        content["standardise"] = recipe.training.standardise
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
