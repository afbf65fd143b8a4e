"""Recipes written before the budget changed: they load, and the export says what their keys mean now."""

from __future__ import annotations

from edgeflow_export.recipe import ExportSpec


def test_keys_of_older_recipes_load_with_a_note_each() -> None:
    spec = ExportSpec.model_validate(
        {
            "max_flip_rate": 0.1,
            "min_rank_correlation": 0.9,
            "max_auroc_drop": 0.01,
            "tolerance_int8": 0.3,
            "min_speedup": 0.0,
        }
    )
    named = [note.partition(" ")[0] for note in spec.outdated]
    assert named == [
        "export.max_auroc_drop",
        "export.max_flip_rate",
        "export.min_rank_correlation",
        "export.min_speedup",
        "export.tolerance_int8",
    ]


def test_a_checkpoint_that_names_every_old_default_needs_no_note() -> None:
    old = {
        "max_flip_rate": 0.005,
        "min_rank_correlation": 0.95,
        "max_auroc_drop": 0.002,
        "tolerance_int8": 0.25,
        "min_speedup": 1.0,
    }
    assert ExportSpec.model_validate(old).outdated == ()
    assert ExportSpec().outdated == ()
