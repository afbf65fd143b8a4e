"""The recipe: what to train and how to export it, as frozen models read from YAML.

In: a YAML file, see ``docs/reference/recipe.md``. Out: one ``Recipe``, which every later stage reads.
It starts no threads. Read ``recipe.py`` first; the sections of the file are in ``training.py``,
``geometry.py``, ``extractors.py`` and ``export.py``.
"""

from edgeflow_export.recipe.export import HEADED, ExportSpec, ForegroundSpec, ScoringSpec, ThresholdSpec
from edgeflow_export.recipe.extractors import (
    PACKAGE,
    EfficientNetB5Extractor,
    ExtractorSpec,
    FunctionExtractor,
    SelfSupervisedExtractor,
    TimmExtractor,
)
from edgeflow_export.recipe.geometry import GeometrySpec
from edgeflow_export.recipe.imported import HELD_OUT_OF_IMPORTED, ImportRecipe, NetworkSpec
from edgeflow_export.recipe.recipe import Recipe, load_export_recipe, load_recipe, with_graph, with_model
from edgeflow_export.recipe.training import (
    DataSpec,
    FlowSpec,
    ImageSpec,
    ModelKind,
    NoiseSpec,
    PatchMemorySpec,
    TrainingSpec,
)

__all__ = [
    "HEADED",
    "HELD_OUT_OF_IMPORTED",
    "PACKAGE",
    "DataSpec",
    "EfficientNetB5Extractor",
    "ExportSpec",
    "ExtractorSpec",
    "FlowSpec",
    "ForegroundSpec",
    "FunctionExtractor",
    "GeometrySpec",
    "ImageSpec",
    "ImportRecipe",
    "ModelKind",
    "NetworkSpec",
    "NoiseSpec",
    "PatchMemorySpec",
    "Recipe",
    "ScoringSpec",
    "SelfSupervisedExtractor",
    "ThresholdSpec",
    "TimmExtractor",
    "TrainingSpec",
    "load_export_recipe",
    "load_recipe",
    "with_graph",
    "with_model",
]
